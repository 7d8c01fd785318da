"""What a scenario may hold, and how each mistake is told: with file and line, what is wrong and what would do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ops.chaos.scenario import Scenario, load
from ops.document import DocumentInvalid

ROOT = Path(__file__).resolve().parents[3]
MARKET = 'market: {synthetic: {symbols: [AAPL], seed: 1}, date: 2026-01-26, from: "10:00", to: "10:30"}\n'


def read(folder: Path, text: str, *, market: str = MARKET) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(market + text, encoding="utf-8")
    return load(path)


def step(action: str, at: str = "10:12") -> str:
    return f'steps:\n  - at: "{at}"\n    do: {action}\n'


GOOD = {
    "a call by its Python name": "{aws: {service: scheduler, operation: delete_schedule, params: {Name: x}}}",
    "a call by AWS's name": "{aws: {service: iam, operation: DeleteRole, params: {RoleName: x}}}",
    "JSON as a mapping": "{aws: {service: iam, operation: put_role_policy, params: {RoleName: x, PolicyName: y, "
    "PolicyDocument: {Version: '2012-10-17', Statement: []}}}}",
    "a placeholder in a list": "{aws: {service: ecs, operation: register_task_definition, params: {family: x, "
    "containerDefinitions: '${container_definitions:dispatcher}'}}}",
    "several actions": "[{note: a}, {sql: select 1}, {ssm: {tickers: 'AAPL,'}}]",
    "a parameter deleted": "{ssm: {alpaca_data_feed: null}}",
    "a full path": "{ssm: {/ops-pipeline/alpaca_api_key: x}}",
    "a status": "{exchange: {fault: {kind: status, status: 503, html: true, times: 2}}}",
    "keys revoked": "{exchange: {keys: {action: revoke}}}",
    "keys replaced": "{exchange: {keys: {action: replace, key_id: a, secret_key: b, overlap_seconds: 60}}}",
    "a feed's fault": "{feeds: {fault: {kind: status, status: 500}}}",
    "the database killed": "{process: {kill: postgres}}",
    "two processes": "{process: {stop: [exchange, feeds]}}",
    "locks held": "{sql: {statement: lock table bars, hold_until: '10:20'}}",
    "a command": "{run: 'sleep 1'}",
    "a command with its exit": "{run: {command: scripts/gaps, expect_exit: [0, 3], timeout: 60, wait: false}}",
}


@pytest.mark.parametrize("action", GOOD.values(), ids=GOOD.keys())
def test_what_is_documented_is_read(tmp_path: Path, action: str) -> None:
    scenario = read(tmp_path, step(action))
    assert len(scenario.steps) == 1
    assert scenario.steps[0].at is not None
    assert scenario.steps[0].at.isoformat() == "2026-01-26T15:12:00+00:00"


BAD = {
    "an unknown action": ("{exec: ls}", r":4: .*exec"),
    "two kinds in one action": ("{note: a, sql: select 1}", r":4: .*exactly one"),
    "an unknown service": ("{aws: {service: schedular, operation: x}}", r":4: .*schedular.*scheduler"),
    "an unknown operation": ("{aws: {service: scheduler, operation: remove_schedule}}", r":4: .*remove_schedule"),
    "a misspelt operation": ("{aws: {service: scheduler, operation: delete_schedul}}", r"delete_schedule"),
    "a parameter that the call lacks": (
        "{aws: {service: scheduler, operation: delete_schedule, params: {Nam: x}}}",
        r":4: .*Name",
    ),
    "a parameter of another type": (
        "{aws: {service: ecs, operation: run_task, params: {taskDefinition: x, count: many}}}",
        r":4: .*count",
    ),
    "a placeholder for nothing": ("{sql: 'select ${nothing}'}", r":4: .*nothing"),
    "an unknown service in a placeholder": ("{sql: 'select ${schedule:dispatchr}'}", r"dispatcher"),
    "an unknown fault": ("{exchange: {fault: {kind: explode}}}", r":4: .*explode"),
    "an unknown fault of the feeds": ("{feeds: {fault: {kind: explode}}}", r":4: .*explode"),
    "a symbol that is not traded": ("{exchange: {fault: {kind: drop, symbols: [TSLA]}}}", r":4: .*TSLA"),
    "a fault cleared that nobody made": ("{exchange: {clear: mine}}", r":4: .*mine"),
    "an unknown process": ("{process: {kill: mysql}}", r":4: .*mysql.*postgres"),
    "an unknown verb": ("{process: {pause: postgres}}", r":4: .*pause"),
    "a script that is not there": ("{run: scripts/fix-missing-scheduler}", r"fix-missing-schedulers"),
    "quotes that do not close": ("{run: 'echo \"x'}", r":4: .*quot"),
    "an empty statement": ("{sql: ' '}", r":4: "),
    "keys without a secret": ("{exchange: {keys: {action: issue, key_id: a}}}", r":4: .*secret_key"),
}


@pytest.mark.parametrize(("action", "told"), BAD.values(), ids=BAD.keys())
def test_a_mistake_in_an_action_is_told_with_its_line(tmp_path: Path, action: str, told: str) -> None:
    with pytest.raises(DocumentInvalid, match=told) as raised:
        read(tmp_path, step(action))
    assert str(tmp_path / "scenario.yaml") in str(raised.value)


@pytest.mark.parametrize(
    ("at", "told"),
    [("25:10", r":3: .*25:10"), ("10:61", r":3: "), ("soon", r":3: "), ("09:59", r":3: .*window"), ("11:00", r":3: ")],
)
def test_an_impossible_time_is_told_with_its_line(tmp_path: Path, at: str, told: str) -> None:
    with pytest.raises(DocumentInvalid, match=told):
        read(tmp_path, step("{note: x}", at))


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("{causes: [schedule_mising]}", r"schedule_missing"),
        ('{findings_by: {"12:00": [bars_gap]}}', r"12:00.*window"),
        ("{bars_lost: none}", r"whole number"),
        ("{bar_lost: 0}", r"bars_lost"),
        ("{runs: {dispatchr: 3}}", r"dispatcher"),
        ("{runs: {dispatcher: {GOOD: 3}}}", r"GOOD"),
        ("{verdict: fine}", r"healthy"),
    ],
)
def test_an_expectation_that_can_never_be_is_told(tmp_path: Path, expect: str, told: str) -> None:
    with pytest.raises(DocumentInvalid, match=rf":2: .*{told}"):
        read(tmp_path, f"expect: {expect}\n")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DocumentInvalid) as raised:
        read(tmp_path, step("{aws: {service: nothing, operation: x}}", "11:59") + "expect: {causes: [what]}\n")
    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("market", "told"),
    [
        ("market: {}\n", "bars"),
        ("market: {synthetic: {}}\n", "date"),
        ("market: {synthetic: {}, date: 2026-13-45}\n", "month must be"),
        ("market: {synthetic: {symbols: [aapl]}, date: 2026-01-26}\n", "aapl"),
        ("market: {synthetic: {}, bars: x.csv, date: 2026-01-26}\n", "either"),
        ("market: {bars: nowhere.csv}\n", "nowhere.csv"),
        ('market: {synthetic: {}, date: 2026-01-26, from: "12:00", to: "11:00"}\n', "11:00|12:00"),
        ("nothing: 1\n", "market|nothing"),
        ("- a\n- b\n", "mapping|object|market"),
        ("market: [1, 2\n", ":"),
        ("", "market|empty"),
    ],
)
def test_a_market_that_cannot_be_is_told(tmp_path: Path, market: str, told: str) -> None:
    with pytest.raises(DocumentInvalid, match=told):
        read(tmp_path, "", market=market)


def test_steps_are_done_in_the_order_of_their_times_and_those_of_one_minute_in_the_files(tmp_path: Path) -> None:
    lines = [
        f'  - {{at: "{at}", do: {{note: "{text}"}}}}\n' for at, text in [("10:20", "c"), ("10:05", "a"), ("10:05", "b")]
    ]
    scenario = read(tmp_path, "steps:\n" + "".join(lines))
    assert [action.text for each in scenario.steps for action in each.actions] == ["a", "b", "c"]


def test_a_closed_day_is_played_from_nine_thirty_to_four(tmp_path: Path) -> None:
    scenario = read(tmp_path, "", market="market: {synthetic: {symbols: [AAPL]}, date: 2026-02-16}\n")
    assert scenario.day.session is None
    assert scenario.day.expected is None
    assert (scenario.day.end - scenario.day.start).total_seconds() == 6.5 * 3600


def test_the_command_tells_mistakes_without_a_traceback_and_exits_with_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(MARKET + step("{exec: ls}"), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "ops", "chaos", "--scenario", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert f"{path}:4:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_scenario_of_the_project_can_be_read() -> None:
    found = [*sorted((ROOT / "tests" / "scenarios").rglob("*.yaml")), ROOT / "scripts" / "ops" / "demo.yaml"]
    assert len(found) > 90
    for path in found:
        assert load(path).expectations, path
