"""Changed, pending or nothing: what a plan says of drift."""

from __future__ import annotations

from typing import Any

from ops.drift_plan import findings

REPAIR = "make plan apply ENV=paper"


def resource(address: str, actions: list[str], before: Any, after: Any, **more: Any) -> dict[str, Any]:
    change = {"actions": actions, "before": before, "after": after, "after_unknown": more.pop("unknown", {}), **more}
    return {"address": address, "mode": "managed", "type": address.split(".")[-2], "change": change}


def told(drift: list[dict[str, Any]], changes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    found = findings({"resource_drift": drift, "resource_changes": changes}, "paper")
    assert all(each.repair == REPAIR for each in found)
    return [(each.kind, each.address, each.attribute, each.expected, each.actual, each.severity) for each in found]


ALARM = "aws_cloudwatch_metric_alarm.silent"
SCHEDULE = "aws_scheduler_schedule.this"
TASK = "aws_ecs_task_definition.this"
LOG = "aws_cloudwatch_log_group.this"


def test_what_the_plan_would_not_undo_is_no_drift() -> None:
    """After a first apply null became {}, and a role lists the policies that other resources gave it."""
    noise = resource(
        "aws_iam_role.r",
        ["update"],
        {"inline_policy": [], "tags": None},
        {"inline_policy": [{"name": "x"}], "tags": {}},
    )
    still = resource(
        "aws_iam_role.r", ["no-op"], {"inline_policy": [{"name": "x"}]}, {"inline_policy": [{"name": "x"}]}
    )
    assert told([noise], [still]) == []


def test_a_changed_attribute_is_told_with_what_the_code_says_and_what_is_there() -> None:
    drift = resource(SCHEDULE, ["update"], {"state": "ENABLED"}, {"state": "DISABLED"})
    heal = resource(SCHEDULE, ["update"], {"state": "DISABLED"}, {"state": "ENABLED"})
    assert told([drift], [heal]) == [("changed", SCHEDULE, "state", "ENABLED", "DISABLED", "critical")]


def test_a_thing_that_is_gone_is_changed_and_one_never_made_is_pending() -> None:
    gone = resource(ALARM, ["delete"], {"alarm_name": "a"}, None)
    make = resource(ALARM, ["create"], None, {"alarm_name": "a"})
    assert told([gone], [make]) == [("changed", ALARM, "exists", True, False, "critical")]
    assert told([], [make]) == [("pending", ALARM, "exists", True, False, "critical")]


def test_a_thing_that_the_code_no_longer_has_is_pending() -> None:
    assert told([], [resource(LOG, ["delete"], {"name": "l"}, None)]) == [
        ("pending", LOG, "exists", False, True, "warning")
    ]


def test_code_and_reality_may_both_differ_in_one_resource() -> None:
    drift = resource(
        LOG, ["update"], {"retention_in_days": 30, "tags_all": {}}, {"retention_in_days": 1, "tags_all": {}}
    )
    change = resource(
        LOG, ["update"], {"retention_in_days": 1, "kms_key_id": None}, {"retention_in_days": 30, "kms_key_id": "k"}
    )
    assert told([drift], [change]) == [
        ("changed", LOG, "retention_in_days", 30, 1, "warning"),
        ("pending", LOG, "kms_key_id", "k", None, "warning"),
    ]


def test_what_follows_from_another_difference_is_not_told_twice() -> None:
    """A deleted parameter has no ARN until it is there again: the plan replaces the task and moves the schedule."""
    gone = resource("aws_ssm_parameter.p", ["delete"], {"name": "/p"}, None)
    plan = [
        resource("aws_ssm_parameter.p", ["create"], None, {"name": "/p"}),
        resource(
            TASK, ["create", "delete"], {"containers": "…", "arn": "t:1"}, {}, unknown={"containers": True, "arn": True}
        ),
        resource(
            SCHEDULE, ["update"], {"target": [{"task": "t:1"}]}, {"target": [{}]}, unknown={"target": [{"task": True}]}
        ),
    ]
    assert [each[1:3] for each in told([gone], plan)] == [("aws_ssm_parameter.p", "exists")]


def test_a_schedule_moved_to_another_revision_is_told_although_the_plan_cannot_know_the_next() -> None:
    drift = resource(SCHEDULE, ["update"], {"target": [{"task": "t:2"}]}, {"target": [{"task": "t:1"}]})
    change = resource(
        SCHEDULE, ["update"], {"target": [{"task": "t:1"}]}, {"target": [{}]}, unknown={"target": [{"task": True}]}
    )
    assert told([drift], [change]) == [("changed", SCHEDULE, "target.task", "t:2", "t:1", "critical")]


def test_unknown_values_are_told_where_there_is_nothing_else() -> None:
    change = resource(
        SCHEDULE, ["update"], {"target": [{"task": "t:1"}]}, {"target": [{}]}, unknown={"target": [{"task": True}]}
    )
    assert [each[:3] for each in told([], [change])] == [("pending", SCHEDULE, "target.task")]


def test_an_update_in_which_we_see_nothing_is_told_all_the_same() -> None:
    change = resource(SCHEDULE, ["update"], {"name": "s", "description": None}, {"name": "s", "description": ""})
    assert told([], [change]) == [("pending", SCHEDULE, "plan", "no change", "update", "warning")]


def test_a_default_tag_is_told_once_and_is_no_alarm() -> None:
    before = {"tags": {"Environment": "mine"}, "tags_all": {"Environment": "mine"}}
    after = {"tags": {}, "tags_all": {"Environment": "paper"}}
    drift = resource(SCHEDULE, ["update"], after, before)
    assert told([drift], [resource(SCHEDULE, ["update"], before, after)]) == [
        ("changed", SCHEDULE, "tags.Environment", "paper", "mine", "info")
    ]


def test_sensitive_values_stay_hidden_in_the_report() -> None:
    change = resource(
        "aws_ssm_parameter.p",
        ["update"],
        {"value": "planted-secret"},
        {"value": "another-secret"},
        before_sensitive={"value": True},
        after_sensitive={"value": True},
    )
    (finding,) = findings({"resource_changes": [change]}, "paper")
    assert "secret" not in str(finding.as_json()).replace("aws_ssm", "")
    assert finding.as_json()["actual"] == "(sensitive)"


def test_data_sources_are_nobodys_drift() -> None:
    read = {**resource("aws_x.d", ["read"], None, {"a": 1}), "mode": "data"}
    assert told([], [read]) == []
