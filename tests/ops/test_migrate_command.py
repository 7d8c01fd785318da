"""scripts/migrate --env: the declared task started, permitted by its roles, followed, and its exit code passed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from applied_stack import applied, push_images
from healthcheck import iam
from healthcheck.iam import Context, Policies, Request
from ops import drift, migrate, task_run
from ops.task_run import Order, TaskFailed
from ops.terraform_workspace import Refused, Workspace
from pipeline import catalog
from terraform.test_drift import look

pytestmark = pytest.mark.slow
ACCOUNT, PLACE = "123456789012", "us-west-2:123456789012"
SERVICES = [service.name for service in catalog.load()]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Paper, applied, with its images pushed."""
    with applied("paper", tmp_path_factory.mktemp("paper")) as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        yield workspace


def client(account: Workspace, service: str) -> Any:
    assert account.aws
    return account.aws.client(service)


def run(account: Workspace, capsys: pytest.CaptureFixture[str], *, check: bool = False) -> tuple[int, list[str]]:
    code = migrate.in_account(account, migrate.ACTS["--check"] if check else ())
    return code, capsys.readouterr().out.splitlines()


def test_it_prepares_the_database_and_a_second_one_finds_nothing_to_do(
    account: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(account, capsys)
    assert (code, said[-1]) == (migrate.DONE, "database and logins are as they should be")
    assert sum("a new password and stored its address" in line for line in said) == len(SERVICES)
    code, said = run(account, capsys)
    assert [line for line in said if ": its login works" in line] == [f"{name}: its login works" for name in SERVICES]
    assert code == migrate.DONE
    assert (list(look(account).findings), drift.exit_code(look(account))) == ([], drift.NONE)


def test_a_check_tells_what_is_wrong_with_3_and_changes_nothing(
    account: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run(account, capsys)
    ssm, name = client(account, "ssm"), f"/ops-pipeline/database_url/{SERVICES[0]}"
    ssm.put_parameter(Name=name, Value="unset", Overwrite=True)
    code, said = run(account, capsys, check=True)
    assert (code, said[-1]) == (migrate.PENDING, "work remains")
    assert f"{SERVICES[0]}: no address is stored" in said
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "unset"
    assert run(account, capsys)[0] == migrate.DONE


def test_logins_are_closed_no_sooner_than_no_run_can_come_with_them(
    account: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right after a migration nothing is moved and nothing closed: runs may still come with what was just stored."""
    run(account, capsys)
    assert migrate.in_account(account, migrate.ACTS["--renew-logins"]) == migrate.DONE
    assert sum("its other login may be in use until" in line for line in capsys.readouterr().out.splitlines()) == len(
        SERVICES
    )
    assert migrate.in_account(account, migrate.ACTS["--close-logins"]) == migrate.DONE
    assert sum(line.endswith("_b is closed") for line in capsys.readouterr().out.splitlines()) == len(SERVICES)


def test_a_start_that_is_refused_is_told_in_ecs_words(account: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the right to the master password the container never runs."""
    role, kept = "ops-pipeline-migrate-execution", client(account, "iam")
    document = kept.get_role_policy(RoleName=role, PolicyName="start")["PolicyDocument"]
    without = [each for each in document["Statement"] if each["Sid"] != "ReadTheMasterPassword"]
    kept.put_role_policy(
        RoleName=role, PolicyName="start", PolicyDocument=json.dumps({**document, "Statement": without})
    )
    try:
        with pytest.raises(TaskFailed, match=r"ended before its container ran: .*secretsmanager:GetSecretValue"):
            migrate.in_account(account)
    finally:
        kept.put_role_policy(RoleName=role, PolicyName="start", PolicyDocument=json.dumps(document))


def test_a_definition_that_is_gone_is_told_in_ecs_words(account: Workspace) -> None:
    assert account.aws
    outputs = account.outputs()
    gone = f"arn:aws:ecs:{PLACE}:task-definition/ops-pipeline-migrate:77"
    order = Order(cluster=outputs["cluster_arn"], definition=gone, network=outputs["network"])
    with pytest.raises(TaskFailed, match=r"did not start .*ops-pipeline-migrate:77"):
        task_run.start(account.aws.client, order)


def test_an_environment_without_a_database_is_refused(account: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "outputs", lambda self: {"migration": None})
    with pytest.raises(Refused, match="has no database of its own; migrate the one in DATABASE_URL"):
        migrate.in_account(account)


# What its two roles may and may not do, asked of IAM's own rules with the policies as deployed.
ADDRESS = f"arn:aws:ssm:{PLACE}:parameter/ops-pipeline/database_url/dispatcher"
FOREIGN = f"arn:aws:ssm:{PLACE}:parameter/ops-pipeline/alpaca_secret_key"


def may(account: Workspace, role: str, policy: str, action: str, resource: str, **keys: str) -> bool:
    document = client(account, "iam").get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    request = Request(
        principal=iam.role(f"arn:aws:iam::{ACCOUNT}:role/{role}"),
        action=action,
        resource=resource,
        context=Context.of({key.replace("__", ":"): value for key, value in keys.items()}),
    )
    return bool(iam.evaluate(request, Policies(identity=(iam.policy(document, name=policy),))))


def key(account: Workspace, name: str) -> str:
    aliases = client(account, "kms").list_aliases()["Aliases"]
    found = next(each["TargetKeyId"] for each in aliases if each["AliasName"] == f"alias/ops-pipeline-{name}")
    return f"arn:aws:kms:{PLACE}:key/{found}"


@pytest.mark.parametrize("action", ["ssm:GetParameters", "ssm:PutParameter"])
def test_its_code_reads_and_writes_the_services_addresses_and_no_other_parameter(
    account: Workspace, action: str
) -> None:
    own = ("ops-pipeline-migrate-task", "store-addresses", action)
    assert may(account, *own, ADDRESS)
    assert not may(account, *own, FOREIGN)


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:Encrypt"])
def test_its_code_uses_the_secrets_key_for_the_addresses_alone(account: Workspace, action: str) -> None:
    own, context = ("ops-pipeline-migrate-task", "store-addresses", action), "kms__EncryptionContext__PARAMETER_ARN"
    assert may(account, *own, key(account, "secrets"), **{context: ADDRESS})
    assert not may(account, *own, key(account, "secrets"), **{context: FOREIGN})
    assert not may(account, *own, key(account, "data"), **{context: ADDRESS})


def test_only_its_start_may_have_the_master_password(account: Workspace) -> None:
    secret = account.outputs()["database"]["master_secret_arn"]
    start = ("ops-pipeline-migrate-execution", "start")
    through = {"kms__EncryptionContext__SecretARN": secret, "kms__ViaService": "secretsmanager.us-west-2.amazonaws.com"}
    assert may(account, *start, "secretsmanager:GetSecretValue", secret)
    assert may(account, *start, "kms:Decrypt", key(account, "data"), **through)
    assert not may(account, *start, "kms:Decrypt", key(account, "data"))
    assert not may(account, *start, "secretsmanager:GetSecretValue", secret.replace("rds!", "other-"))
    assert not may(account, "ops-pipeline-migrate-task", "store-addresses", "secretsmanager:GetSecretValue", secret)


def test_no_schedule_and_no_rule_starts_it(account: Workspace) -> None:
    schedules = client(account, "scheduler").list_schedules()["Schedules"]
    assert {each["GroupName"] for each in schedules} == set(SERVICES)
    scheduler = client(account, "iam").get_role_policy(
        RoleName="ops-pipeline-eventbridge-ecs-role", PolicyName="start-services"
    )["PolicyDocument"]
    assert "migrate" not in json.dumps(scheduler)


def test_one_that_starts_it_by_a_schedule_is_drift(account: Workspace) -> None:
    outputs, scheduler = account.outputs(), client(account, "scheduler")
    scheduler.create_schedule(
        Name="nightly",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": outputs["cluster_arn"],
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/somebody",
            "EcsParameters": {"TaskDefinitionArn": outputs["migration"]["task_definition_arn"]},
        },
    )
    try:
        found = [(each.kind, each.address) for each in look(account).findings]
        assert found == [("undeclared", f"arn:aws:scheduler:{PLACE}:schedule/default/nightly")]
    finally:
        scheduler.delete_schedule(Name="nightly")


def test_what_ecs_forgot_is_said(account: Workspace) -> None:
    assert account.aws
    lost = task_run.Started(
        cluster=account.outputs()["cluster_arn"],
        arn=f"arn:aws:ecs:{PLACE}:task/ops-pipeline-cluster/0123",
        log_group="/ecs/ops-pipeline/migrate",
        log_stream="migrate/migrate/0123",
    )
    with pytest.raises(TaskFailed, match=r"ECS knows .*/0123 no longer"):
        task_run.follow(account.aws.client, lost, print)
