"""make plan, apply and destroy refuse what is unsafe, before anything is touched."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from ops import images_lock, terraform, terraform_workspace
from ops.terraform_plan import PlanRefused
from ops.terraform_workspace import Refused, TerraformFailed, Workspace, open_workspace
from pipeline import catalog

PLAYED = """#!/bin/bash
echo "$@" >> "$(dirname "$0")/calls"
env | grep -E '^(TF_|AWS_)' | sort > "$(dirname "$0")/environ"
case " $* " in
  *" version "*) echo '{"terraform_version": "1.11.4"}' ;;
  *" plan "*) for each in "$@"; do case "$each" in -out=*) echo plan > "${each#-out=}" ;; esac; done ;;
  *" show "*) echo '{"resource_changes": [], "applyable": true}' ;;
  *" apply "*) [ -z "$FAIL" ] || { cat "$FAIL" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """A terraform that only writes down how it was called."""
    path = tmp_path / "terraform"
    path.write_text(PLAYED)
    path.chmod(0o755)
    return path


@pytest.fixture
def workspace(tmp_path: Path, played: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Paper, as played."""
    monkeypatch.setattr(terraform_workspace, "_caller_account", lambda environ: "111122223333")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPS_TERRAFORM": str(played), "TF_WORKSPACE": "other"}
    return Workspace(environment="paper", environ=environ, work=tmp_path / "work", shown=False)


def calls(played: Path) -> list[str]:
    """How the played terraform was called."""
    return (played.parent / "calls").read_text().splitlines()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SCHEDULER"])
@pytest.mark.parametrize("environment", ["paper", "production"])
def test_an_account_is_refused_while_the_shell_leads_to_an_emulator(environment: str, variable: str) -> None:
    with pytest.raises(Refused, match=f"{environment} is a real account, but {variable} leads elsewhere"):
        open_workspace(environment, {variable: "http://127.0.0.1:4000"})


def test_the_command_refuses_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4000")
    monkeypatch.setattr("sys.argv", ["terraform", "plan", "--env", "production"])
    with pytest.raises(SystemExit) as ended:
        terraform.main()
    assert ended.value.code == terraform.REFUSED


def test_an_unknown_environment_is_a_usage_error_that_names_the_known() -> None:
    told = CliRunner().invoke(terraform.cli, ["plan", "--env", "staging"])
    assert told.exit_code == 2
    assert "there are: local, paper, production" in told.output


def test_apply_without_a_plan_is_refused(workspace: Workspace) -> None:
    with pytest.raises(PlanRefused, match="there is no plan for paper to apply; run: make plan ENV=paper"):
        workspace.apply()


def test_what_was_planned_is_applied_once_and_by_its_file(workspace: Workspace, played: Path) -> None:
    workspace.plan()
    workspace.apply()
    assert calls(played)[-1].endswith(f" {workspace.files.plan} -no-color")
    with pytest.raises(PlanRefused):
        workspace.apply()


def test_init_is_done_once_and_told_where_the_state_lies(workspace: Workspace, played: Path) -> None:
    workspace.ready()
    (workspace.work / "terraform").mkdir()
    (workspace.work / "init.stamp").write_text(workspace._init_digest())
    workspace.ready()
    inits = [call for call in calls(played) if " init " in call]
    assert len(inits) == 1
    assert "bucket=ops-pipeline-state-111122223333" in inits[0]


def test_terraform_gets_its_own_data_folder_and_no_foreign_workspace(workspace: Workspace, played: Path) -> None:
    workspace.run("output")
    seen = dict(line.split("=", 1) for line in (played.parent / "environ").read_text().splitlines())
    assert "TF_WORKSPACE" not in seen
    assert seen["TF_DATA_DIR"] == str(workspace.work / "terraform")
    assert Path(seen["TF_CLI_CONFIG_FILE"]).is_file()


def test_a_state_lock_is_refused_with_its_holder(workspace: Workspace) -> None:
    workspace.plan()
    workspace.environ = {**workspace.environ, "FAIL": str(Path(__file__).with_name("state_lock.txt"))}
    with pytest.raises(Refused, match="somebody else is at work on paper: ana@desk"):
        workspace.apply()


def test_a_plan_older_than_the_state_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "stale").write_text("Error: Saved plan is stale\n")
    workspace.plan()
    workspace.environ = {**workspace.environ, "FAIL": str(tmp_path / "stale")}
    with pytest.raises(PlanRefused, match="the state of paper has changed since"):
        workspace.apply()


def test_any_other_failure_tells_what_terraform_said(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "fault").write_text("Error: AccessDenied\n")
    workspace.plan()
    workspace.environ = {**workspace.environ, "FAIL": str(tmp_path / "fault")}
    with pytest.raises(TerraformFailed, match="AccessDenied"):
        workspace.apply()


def test_two_commands_at_once_do_not_meet(workspace: Workspace) -> None:
    with (
        workspace.alone(),
        pytest.raises(Refused, match=f"another command is at work on paper: pid {os.getpid()}"),
        workspace.alone(),
    ):
        pass
    with workspace.alone():
        pass


def test_destroy_needs_the_name_of_the_environment(workspace: Workspace) -> None:
    record = workspace.plan(destroy=True)
    with pytest.raises(Refused, match="nothing was destroyed"):
        terraform._confirm("paper", record, "production")
    terraform._confirm("paper", record, "paper")


@mock_aws
def test_what_shares_its_roles_with_a_rebuilt_region_is_not_destroyed(workspace: Workspace) -> None:
    workspace.environ = {**workspace.environ, "AWS_REGION": "us-west-2"}
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="ops-pipeline-state-111122223333")
    terraform._refuse_shared(workspace)
    s3.create_bucket(Bucket="ops-pipeline-state-111122223333-us-east-2")
    with pytest.raises(Refused, match="paper was rebuilt in another region"):
        terraform._refuse_shared(workspace)


def test_secrets_of_the_shell_reach_only_the_local_aws() -> None:
    environ = {"DATABASE_URL": "postgresql://here", "ALPACA_KEY_ID": "key"}
    given = terraform_workspace._initial_secrets(environ)
    assert json.loads(given["TF_VAR_secret_values"]) == {"database_url": "postgresql://here", "alpaca_key_id": "key"}
    assert terraform_workspace._initial_secrets({"TF_VAR_secret_values": "{}"} | environ) == {}


def test_a_local_lock_takes_what_was_built_then_what_is_committed_then_content(tmp_path: Path) -> None:
    for service in ("base", "one", "two", "three"):
        (tmp_path / "images" / service).mkdir(parents=True)
        (tmp_path / "images" / service / "__main__.py").write_text(service)
    (tmp_path / "services.yaml").write_text("")
    built = {"one": {"digest": "sha256:built"}, "three": {"digest": "sha256:old", "origin": "content"}}
    committed = {"one": {"digest": "sha256:committed"}, "two": {"digest": "sha256:committed"}}
    lock = images_lock.complete(["one", "two", "three"], committed, built, tmp_path)
    assert [lock[name]["digest"] for name in ("one", "two")] == ["sha256:built", "sha256:committed"]
    assert lock["three"] == images_lock.by_content("three", tmp_path)


def test_a_digest_of_content_changes_with_the_service_and_the_base_and_nothing_else(tmp_path: Path) -> None:
    for service in ("base", "one", "two"):
        (tmp_path / "images" / service).mkdir(parents=True)
        (tmp_path / "images" / service / "__main__.py").write_text(service)
    (tmp_path / "services.yaml").write_text("")
    before = images_lock.by_content("one", tmp_path)
    (tmp_path / "images" / "two" / "__main__.py").write_text("changed")
    assert images_lock.by_content("one", tmp_path) == before
    (tmp_path / "images" / "base" / "__main__.py").write_text("changed")
    assert images_lock.by_content("one", tmp_path) != before


def command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """What scripts/terraform ends with and says, on this workspace."""

    def opened(environment: str, *, rehearse: bool, variables: dict[str, object] | None = None) -> Workspace:
        return replace(workspace, variables=variables or {})

    monkeypatch.setattr(terraform, "open_workspace", opened)
    told = CliRunner().invoke(terraform.cli, [*arguments, "--env", "paper"], standalone_mode=False)
    assert told.exception is None, told.exception
    return int(told.return_value or 0), told.output


def test_first_plans_what_images_are_pushed_to_and_says_what_comes_next(
    workspace: Workspace, played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(workspace, monkeypatch, "plan", "--first")[0] == terraform.CHANGES
    assert any(" plan " in f" {call} " and "-target=module.delivery" in call for call in calls(played))
    code, said = command(workspace, monkeypatch, "apply")
    assert code == terraform.DONE
    assert "next: make build-images push ENV=paper, then make plan ENV=paper" in said


def test_paused_is_told_when_planning_and_not_again_when_applying(
    workspace: Workspace, played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terraform, "_validated", lambda workspace: terraform.DONE)
    command(workspace, monkeypatch, "plan", "--paused")
    [planned] = [call for call in calls(played) if call.split()[1] == "plan"]
    names = json.loads(planned.split("-var=paused_services=")[1].split("]")[0] + "]")
    assert names == [service.name for service in catalog.load()]
    assert command(workspace, monkeypatch, "apply")[0] == terraform.DONE


def test_a_variable_told_to_apply_alone_is_not_in_the_plan(workspace: Workspace) -> None:
    workspace.plan()
    with pytest.raises(PlanRefused, match="changed since: variable paused_services"):
        replace(workspace, variables={"paused_services": ["one"]}).apply()
