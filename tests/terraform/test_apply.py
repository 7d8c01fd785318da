"""Each environment in full on the local AWS: applied, there again from its snapshot, planned empty, destroyed whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from applied_stack import applied
from ops import drift
from ops.local.aws import roles
from ops.local.aws.environment import ACCOUNT
from ops.terraform_workspace import Workspace
from stack_life import PROJECT, destroy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("environment", ["local", "production"])
def test_an_environment_is_applied_restored_planned_empty_and_destroyed_whole(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test an environment and not four, so that parallel workers do not each destroy it."""
    with applied(environment, tmp_path / "account") as found:
        assert found.aws
        assert found.aws.load().restored.startswith("restored the state of ")
        again = found.plan()
        planned = json.loads(found.files.json.read_text(encoding="utf-8"))["resource_changes"]
        assert sum(each["mode"] == "managed" for each in planned) > 150
        assert not again.applyable, f"the second plan is not empty: {again.counts}"
        if environment == "production":  # the roles of the workflows suffice for their work, and for no other
            seen = as_the_workflows(found, monkeypatch)
            assert seen["drift"].findings == []
            assert seen["drift"].unchecked == []
            assert not seen["plan"].applyable, f"a pull request's plan is not empty: {seen['plan'].counts}"
            assert seen["beyond"] == dict.fromkeys(("plan", "drift", "push"), "AccessDeniedException")
        left = destroy(found)
    assert {kind: names for kind, names in left.live.items() if names} == {}
    assert "root_module" not in left.state.get("values", {})


def as_the_workflows(found: Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What GitHub's workflows see of the environment, each with the credentials of its role alone."""
    assert found.aws
    github = [
        name
        for role in found.aws.client("iam").list_roles(MaxItems=1000)["Roles"]
        if "-github-" in (name := role["RoleName"])
    ]
    seen: dict[str, Any] = {"beyond": {}}
    for kind in sorted(name.rpartition("-")[2] for name in github):
        with monkeypatch.context() as patch:
            for name, value in roles.session(
                found.aws.url, f"arn:aws:iam::{ACCOUNT}:role/{PROJECT}-github-{kind}"
            ).items():
                patch.setenv(name, value)
            theirs = Workspace(
                environment=found.environment,
                environ=dict(os.environ),
                work=found.work / kind,
                variables=found.variables,
                shown=False,
            )
            seen["beyond"][kind] = refusal(boto3.client("scheduler"))
            if kind == "drift":
                seen[kind] = drift.check(theirs, drift.clients_of(theirs), datetime.now(UTC))
            elif kind == "plan":
                theirs.environ = {**theirs.environ, "TF_CLI_ARGS_plan": "-lock=false -refresh=false"}
                seen[kind] = theirs.plan()
    return seen


def refusal(scheduler: Any) -> str:
    """The error code of an attempt to change something."""
    with pytest.raises(ClientError) as refused:
        scheduler.delete_schedule(Name="any")
    return str(refused.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with applied("local", tmp_path_factory.mktemp("stack")) as found:
        yield found


def test_a_kept_stack_of_the_tests_plans_empty_too(stack: Workspace) -> None:
    assert not stack.plan().applyable


def test_no_secret_is_in_plan_or_state(stack: Workspace) -> None:
    """The value reaches the parameter store, and no file that Terraform writes."""
    assert stack.aws
    planted = "planted-9f3a1c"
    stack.environ = {
        **stack.environ,
        "TF_VAR_secret_values": f'{{"alpaca_key_id": "{planted}", "database_url": "{planted}"}}',
    }
    ssm = stack.aws.client("ssm")
    ssm.delete_parameters(Names=[f"/{PROJECT}/alpaca_key_id"])
    stack.plan()
    assert planted not in stack.files.json.read_text()
    assert planted.encode() not in stack.files.plan.read_bytes()
    stack.apply()
    assert ssm.get_parameter(Name=f"/{PROJECT}/alpaca_key_id", WithDecryption=True)["Parameter"]["Value"] == planted
    s3 = stack.aws.client("s3")
    state = s3.get_object(Bucket=stack.state_bucket, Key="local/terraform.tfstate")["Body"].read()
    assert b"alpaca_key_id" in state
    assert planted.encode() not in state
    assert planted not in stack.aws.log_path.read_text()
