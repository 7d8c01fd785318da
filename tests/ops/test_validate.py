"""Validation of what is live and of plans, on an applied account of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from applied_stack import applied, push_images
from ops import terraform
from ops.terraform_workspace import Workspace
from pipeline import catalog
from plane_world import PROJECT, Account

ROOT = Path(__file__).resolve().parents[2]
INGESTOR, *_, DISPATCHER, HEALTH = catalog.load().services


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with applied("local", tmp_path_factory.mktemp("stack") / "account") as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        workspace.plan()
        workspace.aws.save()
        yield workspace


@pytest.fixture
def account(stack: Workspace) -> Account:
    """As it was applied."""
    assert stack.aws
    stack.aws.restore()
    return Account(stack.aws)


class Ended:
    """What a validation said."""

    def __init__(self, account: Account, folder: Path, *arguments: str) -> None:
        report = folder / "report.json"
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "ops", "validate", "--report", str(report), *arguments],
            cwd=ROOT,
            env=account.aws.environment(os.environ),
            capture_output=True,
            text=True,
        )
        self.code, self.output = ended.returncode, ended.stdout + ended.stderr
        self.report: Mapping[str, Any] = json.loads(report.read_text()) if report.is_file() else {}

    @property
    def found(self) -> set[str]:
        return {f"{each['code']}:{each['subject']}" for each in self.report["findings"]}


def planned(stack: Workspace, folder: Path, **changes: Any) -> Path:
    """The plan of the applied stack, with values changed: address → {attribute: value}, or None to delete it."""
    document = json.loads(stack.files.json.read_text())

    def change(module: dict[str, Any]) -> None:
        kept = []
        for resource in module.get("resources", []):
            told = changes.get(resource["address"], {})
            if told is not None:
                kept.append({**resource, "values": {**resource["values"], **told}})
        module["resources"] = kept
        for child in module.get("child_modules", []):
            change(child)

    for each in document["resource_changes"]:
        if changes.get(each["address"], {}) is None:
            each["change"] |= {"actions": ["delete"], "after": None}
    change(document["planned_values"]["root_module"])
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    return path


def test_an_applied_account_that_nobody_plays_is_valid_and_nothing_is_waited_for(
    account: Account, tmp_path: Path
) -> None:
    ended = Ended(account, tmp_path)
    assert (ended.code, ended.found) == (0, set()), ended.output
    assert "Nothing plays this local AWS" in ended.report["left_out"]
    assert set(ended.report["not_waited_for"]) == set(catalog.load().services)
    assert ended.report["differences"] == []


def test_an_apply_ends_with_a_validation_whose_findings_are_its_exit_code(account: Account, stack: Workspace) -> None:
    assert terraform._validated(stack) == terraform.DONE
    account.client("scheduler").delete_schedule(Name=catalog.load()[DISPATCHER].schedule, GroupName=DISPATCHER)
    assert terraform._validated(stack) == terraform.CHANGES


def test_a_missing_schedule_stands_against_its_question_and_in_the_inventories(
    account: Account, tmp_path: Path
) -> None:
    account.client("scheduler").delete_schedule(Name=catalog.load()[DISPATCHER].schedule, GroupName=DISPATCHER)
    ended = Ended(account, tmp_path)
    assert (ended.code, ended.found) == (3, {f"schedule_missing:{DISPATCHER}"}), ended.output
    answers = {check["name"]: check["answer"] for check in ended.report["checks"]}
    assert (answers["schedules_exist"], answers["roles_exist"]) == ("no", "yes")
    assert {"left": "catalogue", "right": "live schedules", "only_left": [DISPATCHER], "only_right": []} in (
        ended.report["differences"]
    )


def test_no_account_is_a_failure_and_no_finding(account: Account, tmp_path: Path) -> None:
    environ = {**account.aws.environment(os.environ), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "ops", "validate", "--plan", str(tmp_path / "none.json")],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "none.json" in ended.stderr


def test_the_plan_of_an_applied_account_is_valid(account: Account, stack: Workspace, tmp_path: Path) -> None:
    ended = Ended(account, tmp_path, "--plan", str(planned(stack, tmp_path)))
    assert (ended.code, ended.found, ended.report["left_out"]) == (0, set(), None), ended.output


def test_what_is_no_plan_is_refused(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("[]")
    ended = Ended(account, tmp_path, "--plan", str(path))
    assert ended.code == 1
    assert "terraform show -json" in ended.output


SERVICE = f'module.service["{INGESTOR}"]'
SCHEDULE = f"{SERVICE}.aws_scheduler_schedule.this"
ALARM = f"{SERVICE}.aws_cloudwatch_metric_alarm.silent"
NARROW = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Resource": "*",
            "Action": ["ecs:RunTask", "ecs:TagResource", "lambda:InvokeFunction", "sqs:SendMessage"],
        }
    ],
}
EVENTS = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "events.amazonaws.com"}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({SCHEDULE: None}, {f"schedule_missing:{INGESTOR}"}),
        ({SCHEDULE: {"state": "DISABLED"}}, {f"schedule_disabled:{INGESTOR}"}),
        ({SCHEDULE: {"schedule_expression": "rate(5 minutes)"}}, {f"schedule_wrong_rate:{INGESTOR}"}),
        ({"aws_iam_role_policy.scheduler": {"policy": json.dumps(NARROW)}},
         {"role_pass_role:ops-pipeline-eventbridge-ecs-role"}),
        ({"aws_iam_role.scheduler": {"assume_role_policy": json.dumps(EVENTS)}},
         {"role_trust:ops-pipeline-eventbridge-ecs-role"}),
        ({ALARM: {"alarm_actions": []}}, {f"alarm_no_action:{PROJECT}-telemetry-ingestor-silent"}),
        ({ALARM: None}, {f"alarm_missing:{PROJECT}-telemetry-ingestor-silent"}),
    ],
    ids=["schedule gone", "disabled", "slower", "may pass no role", "distrusted", "mute alarm", "no alarm"],
)  # fmt: skip
def test_what_a_plan_would_break_is_found_before_it_is_applied(
    account: Account, stack: Workspace, tmp_path: Path, changes: dict[str, Any], found: set[str]
) -> None:
    ended = Ended(account, tmp_path, "--plan", str(planned(stack, tmp_path, **changes)))
    assert (ended.code, ended.found) == (3, found), ended.output


def test_a_plan_that_starts_an_image_which_was_never_pushed_is_found(
    account: Account, stack: Workspace, tmp_path: Path
) -> None:
    ecr, name = account.client("ecr"), f"{PROJECT}/{INGESTOR}"
    images = ecr.list_images(repositoryName=name)["imageIds"]
    other = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "made": "up"})
    ecr.put_image(repositoryName=name, imageManifest=other)
    ecr.batch_delete_image(repositoryName=name, imageIds=images)
    ended = Ended(account, tmp_path, "--plan", str(planned(stack, tmp_path)))
    assert (ended.code, ended.found) == (3, {f"image_missing:{INGESTOR}"}), ended.output


def test_a_parameter_that_is_neither_stored_nor_planned_is_found(
    account: Account, stack: Workspace, tmp_path: Path
) -> None:
    account.client("ssm").delete_parameters(Names=[f"/{PROJECT}/tickers"])
    left_out = {'aws_ssm_parameter.parameter["tickers"]': None}
    ended = Ended(account, tmp_path, "--plan", str(planned(stack, tmp_path, **left_out)))
    assert (ended.code, ended.found) == (3, {f"parameter_missing:/{PROJECT}/tickers"}), ended.output
