"""Each environment in full on the local AWS: applied, planned empty, there again from its snapshot, destroyed whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from applied_stack import applied, workspace
from ops.terraform_workspace import Workspace
from stack_life import PROJECT, live

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("environment", ["local", "production"])
def test_an_environment_is_applied_planned_empty_restored_and_destroyed_whole(environment: str, tmp_path: Path) -> None:
    """One test an environment and not four, so that parallel workers do not each apply it."""
    life = live(workspace(environment, tmp_path))
    assert life.planned.counts["create"] > 150
    assert not life.again.value.applyable, f"the second plan is not empty: {life.again.value.counts}"
    assert life.restored.value.restored.startswith("restored the state of ")
    assert not life.after_restore.applyable, f"the plan after a restore is not empty: {life.after_restore.counts}"
    assert {kind: names for kind, names in life.left.items() if names} == {}
    assert "root_module" not in life.state_left.get("values", {})


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
