"""Where two values differ, as deep as it can be named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.drift_compare import UNKNOWN, Secret, differences, marked


def told(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    return [(each.attribute, each.before, each.after) for each in differences({"it": before}, {"it": after})]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.mark.parametrize("blank", [None, "", [], {}])
def test_what_is_not_set_is_the_same_however_the_provider_writes_it(blank: Any) -> None:
    assert told(None, blank) == []
    assert told(blank, None) == []


@pytest.mark.parametrize(("before", "after"), [(True, False), (None, False), (0, 1), (None, 0)])
def test_false_and_zero_are_values(before: Any, after: Any) -> None:
    assert told(before, after) == [("it", before, after)]


def test_a_block_needs_no_number_in_its_path() -> None:
    before = [{"retry_policy": [{"maximum_retry_attempts": 2}], "arn": "a"}]
    after = [{"retry_policy": [{"maximum_retry_attempts": 9}], "arn": "a"}]
    assert told(before, after) == [("it.retry_policy.maximum_retry_attempts", 2, 9)]


def test_a_block_that_is_gone_is_named_whole() -> None:
    assert told([{"dead_letter_config": [{"arn": "q"}]}], [{"dead_letter_config": []}]) == [
        ("it.dead_letter_config", {"arn": "q"}, None)
    ]


def test_a_policy_is_compared_statement_by_statement() -> None:
    run = {"Sid": "Run", "Effect": "Allow", "Action": "ecs:RunTask", "Resource": ["b", "a"]}
    passed = {"Sid": "Pass", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": "r"}
    assert told(policy(run, passed), policy({**run, "Resource": ["a", "b"]}, {**passed, "Resource": ["r"]})) == []
    assert told(policy(run, passed), policy(run)) == [("it.Statement[Pass]", {**passed, "Resource": ["r"]}, None)]
    assert told(policy(run), policy({**run, "Resource": "*"})) == [
        ("it.Statement[Run].Resource", ["a", "b"], ["*"]),
    ]


def test_a_foreign_statement_without_a_name_is_told_by_its_place() -> None:
    own = {"Sid": "Run", "Effect": "Allow", "Action": ["x"], "Resource": ["r"]}
    rogue = {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}
    assert told(policy(own), policy(own, rogue)) == [("it.Statement[1]", None, rogue)]


def test_the_order_of_keys_and_blanks_in_json_is_nothing() -> None:
    assert told('{"a": 1, "b": [1, 2]}', '{ "b": [1,2], "a": 1 }') == []


def test_a_containers_environment_is_told_by_name() -> None:
    def container(**environment: str) -> str:
        listed = [{"name": name, "value": value} for name, value in environment.items()]
        return json.dumps([{"name": "main", "image": "i", "environment": listed}])

    assert told(container(A="1", B="2"), container(A="1", B="3")) == [("it[main].environment[B].value", "2", "3")]
    assert told(container(A="1"), container(A="2")) == [("it[main].environment[A].value", "1", "2")]


def test_a_tag_is_named_even_where_there_was_none() -> None:
    found = [(each.attribute, each.before, each.after) for each in differences({"tags": None}, {"tags": {"Mine": "1"}})]
    assert found == [("tags.Mine", None, "1")]


def test_a_secret_is_compared_and_never_shown() -> None:
    before, after = ({"key": marked(value, True, Secret)} for value in ("old-value", "new-value"))
    (found,) = differences(before, after)
    assert repr(found.before) == repr(found.after) == "(sensitive)"
    assert list(differences(before, {"key": Secret("old-value")})) == []


def test_what_only_the_apply_will_tell_is_marked_where_it_will_stand() -> None:
    assert marked({"a": 1}, {"b": True, "c": {}}, lambda _: UNKNOWN) == {"a": 1, "b": UNKNOWN}
