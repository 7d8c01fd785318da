"""AlarmRule: truth tables, binding, the guide's examples, and what is refused."""

from __future__ import annotations

import itertools

import pytest

from ops.local.alarms import State
from ops.local.alarms.book import evaluation_order
from ops.local.alarms.composite import Child, RuleInvalid, parse

STATES = list(State)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(STATES, STATES)))
def test_the_truth_tables_of_and_or_and_not_hold(a: State, b: State) -> None:
    states = {"a": a, "b": b}
    is_a, is_b = a is State.ALARM, b is State.ALARM

    assert parse('ALARM("a") AND ALARM("b")').holds(states) is (is_a and is_b)
    assert parse('ALARM("a") OR ALARM("b")').holds(states) is (is_a or is_b)
    assert parse('NOT ALARM("a")').holds(states) is (not is_a)
    assert parse("OK(a) OR INSUFFICIENT_DATA(a)").holds(states) is (not is_a)
    assert parse("NOT (ALARM(a) OR ALARM(b))").holds(states) is (not is_a and not is_b)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("TRUE", True),
        ("FALSE", False),
        ("NOT FALSE", True),
        ("TRUE OR TRUE AND FALSE", True),  # AND binds more strongly than OR
        ("(TRUE OR TRUE) AND FALSE", False),
        ("NOT TRUE OR TRUE", True),  # NOT binds more strongly than OR
        ("NOT (TRUE OR TRUE)", False),
        ("NOT NOT TRUE", True),
        ("true and not false", True),
    ],
)
def test_operators_bind_as_expected(rule: str, expected: bool) -> None:
    assert parse(rule).holds({}) is expected


def test_the_documented_examples_hold() -> None:
    deploying = parse("ALARM(CPUUtilizationTooHigh) AND NOT ALARM(DeploymentInProgress)")
    network = parse('(ALARM("CPUUtilizationTooHigh") OR \nALARM("DiskReadOpsTooHigh")) AND \nOK("NetworkOutTooHigh")')

    assert deploying.holds({"CPUUtilizationTooHigh": State.ALARM, "DeploymentInProgress": State.OK})
    assert not deploying.holds({"CPUUtilizationTooHigh": State.ALARM, "DeploymentInProgress": State.ALARM})
    assert network.holds({"DiskReadOpsTooHigh": State.ALARM, "NetworkOutTooHigh": State.OK})
    assert not network.holds({"DiskReadOpsTooHigh": State.ALARM, "NetworkOutTooHigh": State.ALARM})


def test_an_alarm_may_be_named_by_its_arn() -> None:
    rule = parse('ALARM("arn:aws:cloudwatch:us-west-2:123456789012:alarm:a:b") AND NOT OK(c)')

    assert rule.holds({"a:b": State.ALARM, "c": State.ALARM})
    assert rule.children == (
        Child(name="a:b", state=State.ALARM, wanted=True),
        Child(name="c", state=State.OK, wanted=False),
    )


def test_an_alarm_that_does_not_exist_is_in_no_state() -> None:
    assert not any(parse(f"{state}(gone)").holds({}) for state in State)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("ALARM(a) ALARM(b)", "column 10: found 'ALARM' where AND, OR or the end"),
        ("ALARM(a) AND", "found the end"),
        ("ALARM a", "where '\\('"),
        ("ALARM()", "an alarm's name"),
        ('ALARM("a)', "found '\"' where an alarm's name"),
        ("(ALARM(a)", "found the end where '\\)'"),
        ("ALARMED(a)", "found 'ALARMED'"),
        (" OR ".join(f"ALARM(a{index})" for index in range(101)), "101 alarms .* at most 100"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(rule: str, says: str) -> None:
    with pytest.raises(RuleInvalid, match=says):
        parse(rule)


def test_children_are_evaluated_before_parents_and_cycles_never() -> None:
    rules = {
        "top": parse("ALARM(middle) OR ALARM(metric)"),
        "middle": parse("ALARM(metric)"),
        "round": parse("ALARM(about)"),
        "about": parse("ALARM(round)"),
    }

    assert evaluation_order(rules) == ["middle", "top"]
