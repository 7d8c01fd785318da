"""scripts/alarm-test: the notation, what passes and fails, and complaints with line and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from alarm_world import alarm
from ops.local.alarms.testing import expand, main, metric_of, run_file, seconds_of, spell

N = None
LATENCY = "Test/Latency{Service=one}"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2.5 -3", [1, 2.5, -3]),
        ("1x4", [1, 1, 1, 1, 1]),
        ("1x0", [1]),
        ("2+1x4", [2, 3, 4, 5, 6]),
        ("-2+4x3", [-2, 2, 6, 10]),
        ("1-2x2", [1, -1, -3]),
        ("_ _x3 1e3", [N, N, N, N, 1000]),
        ("1x5 _x3 0 2+1x4", [1, 1, 1, 1, 1, 1, N, N, N, 0, 2, 3, 4, 5, 6]),
        ("", []),
    ],
)
def test_values_are_written_as_for_promtool(text: str, values: list[float | None]) -> None:
    assert expand(text) == values


@pytest.mark.parametrize("text", ["x4", "1+1", "one", "1x-1", "1x999999999", "__"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no value|more than"):
        expand(text)


def test_a_metric_is_written_with_namespace_and_dimensions() -> None:
    metric = metric_of('AWS/SQS/Visible{QueueName=dead, Kind="a b"}')

    assert (metric.namespace, metric.name) == ("AWS/SQS", "Visible")
    assert metric.dimensions == (("Kind", "a b"), ("QueueName", "dead"))


def test_durations_are_written_in_hours_minutes_seconds() -> None:
    assert [seconds_of(text) for text in ("90s", "5m", "1h30m", "0m")] == [90, 300, 5400, 0]
    assert [spell(seconds) for seconds in (90, 300, 5400, 0)] == ["1m30s", "5m", "1h30m", "0m"]


def write(folder: Path, test: dict[str, Any], **changes: Any) -> Path:
    path = folder / "alarms.yaml"
    entry = {key: value for key, value in alarm().items() if value is not None}
    content = {
        "alarms": [entry],
        "tests": [{"name": "it is slow", "series": [{"metric": LATENCY, "values": "1 9x4"}], **test}],
        **changes,
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    expected = {
        "states": {"slow": {"0m": "INSUFFICIENT_DATA", "1m": "OK", "3m": "OK", "4m": "ALARM"}},
        "changes": {"slow": ["1m OK", "4m ALARM"]},
        "actions": {"slow": ["4m ALARM"]},
    }

    result = run(write(tmp_path, expected))

    assert result.exit_code == 0, result.output
    assert "1 passed, 0 failed" in result.output


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ({"states": {"slow": {"3m": "ALARM"}}}, "at 3m slow is OK, expected ALARM (its changes: 1m OK"),
        ({"changes": {"slow": ["1m OK"]}}, "changes of slow are [1m OK, 4m ALARM], expected [1m OK]"),
        ({"actions": {"slow": []}}, "actions of slow are [4m ALARM], expected []"),
        ({"never": ["slow"]}, "slow must never go to ALARM"),
    ],
)
def test_what_is_not_as_expected_fails_with_its_line(tmp_path: Path, expected: dict[str, Any], says: str) -> None:
    path = write(tmp_path, {"until": "6m", **expected})

    result = run(path)

    assert result.exit_code == 1
    assert says in result.output
    place = next(line for line in result.output.splitlines() if says in line).split(":")[1]
    assert path.read_text().splitlines()[int(place) - 1].strip() in {"3m: ALARM", "slow:", "slow: []", "- slow"}


def test_a_delay_makes_data_arrive_later(tmp_path: Path) -> None:
    series = [{"metric": LATENCY, "values": "1 9x4", "delay": "2m"}]

    assert run(write(tmp_path, {"series": series, "changes": {"slow": ["2m OK", "5m ALARM"]}})).exit_code == 0


def test_the_extra_periods_can_be_set(tmp_path: Path) -> None:
    test = {"series": [], "states": {"slow": {"1m": "INSUFFICIENT_DATA"}}}
    series = [{"metric": LATENCY, "values": "9x2 _x9"}]
    for extra, minute in ((0, 6), (2, 8)):
        changes = {"slow": ["3m ALARM", f"{minute}m INSUFFICIENT_DATA"]}
        path = write(tmp_path, {**test, "series": series, "changes": changes, "until": "11m"}, extra_periods=extra)
        assert run(path).exit_code == 0, run(path).output


def test_the_example_passes() -> None:
    result = run(Path(__file__).with_name("example.yaml"))

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("form", ["describe", "plan"])
def test_alarms_may_come_from_a_file(tmp_path: Path, form: str) -> None:
    values = {
        "alarm_name": "slow",
        "namespace": "Test",
        "metric_name": "Latency",
        "dimensions": {"Service": "one"},
        "statistic": "Maximum",
        "period": 60,
        "evaluation_periods": 3,
        "datapoints_to_alarm": None,
        "comparison_operator": "GreaterThanThreshold",
        "threshold": 5,
        "treat_missing_data": "missing",
        "metric_query": [],
    }
    change = {"actions": ["create"], "after": values, "after_unknown": {"alarm_actions": True}}
    resource = {"mode": "managed", "type": "aws_cloudwatch_metric_alarm", "change": change}
    found = {"MetricAlarms": [alarm()]} if form == "describe" else {"resource_changes": [resource]}
    (tmp_path / "alarms.json").write_text(json.dumps(found))

    path = write(tmp_path, {"actions": {"slow": ["4m ALARM"]}}, alarms={"from": "alarms.json"})

    assert run(path).exit_code == 0, run(path).output
    assert [str(change) for change in run_file(path)[0].histories["slow"]] == ["1m OK", "4m ALARM"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file is empty"),
        ("alarms: [", 1, "no YAML"),
        ("alarms: []\nalarms: []", 2, "'alarms' stands twice"),
        ("alarms:\n  - AlarmNam: x\ntests: [{name: a, series: [], never: []}]", 2, "did you mean 'AlarmName'?"),
        ("alarms: {from: gone.json}\ntests:\n  - {name: a, series: [], never: []}", 1, "gone.json cannot be read"),
        (
            "alarms: {from: x}\ntests:\n  - name: a\n    series: []\n    states: {x: {'9': OK}}",
            5,
            "such as 90s, 5m",
        ),
        ("alarms: {from: x.json}\ntests:\n  - name: a\n    series: []", 3, "at least one of states, changes"),
        ("alarms: {from: x.json}\ntests: []\nstart: noon", 3, "such as 2013-10-07T13:30:00Z"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_line_and_remedy(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    result = run(path)

    assert result.exit_code == 2
    complaints = result.output.removeprefix("alarm-test: ").splitlines()
    assert any(part.startswith(f"{path}:{line}:") and says in part for part in complaints), result.output


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ({"never": ["slwo"]}, "there is no alarm 'slwo'; is it slow?"),
        ({"series": [{"metric": "A/B", "values": "1+x"}], "never": []}, "'1+x' is no value; write '1 2', '1x4'"),
        ({"series": [{"metric": "B", "values": "1"}], "never": []}, "write Namespace/MetricName"),
        ({"interval": "0m", "never": []}, "an interval of nothing"),
    ],
)
def test_a_test_that_makes_no_sense_is_told_with_its_line(tmp_path: Path, test: dict[str, Any], says: str) -> None:
    result = run(write(tmp_path, test))

    assert result.exit_code == 2
    assert says in result.output
    assert int(result.output.split("alarms.yaml:")[1].split(":")[0]) > 20


def test_an_alarm_that_aws_refuses_is_told(tmp_path: Path) -> None:
    entry = {key: value for key, value in alarm(Period=45).items() if value is not None}

    result = run(write(tmp_path, {"never": ["slow"]}, alarms=[entry]))

    assert (result.exit_code, "slow: its period is 45 s" in result.output) == (2, True)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert run(tmp_path / "none.yaml").exit_code == 2
