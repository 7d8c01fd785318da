"""The command scripts/alarm-test: unit tests for alarms, as promtool has them for Prometheus."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ops.document import Document, DocumentInvalid
from ops.document import load as load_document
from ops.local.alarms import terraform_plan
from ops.local.alarms.book import AlarmBook
from ops.local.alarms.definition import Metric, State
from ops.local.alarms.evaluate import EXTRA_PERIODS
from ops.local.alarms.series import MetricStore
from pipeline.errors import PipelineError

SCHEMA = Path(__file__).with_name("alarm-test.schema.json")
DEFAULT_START = "2013-10-07T13:30:00Z"
VALUES_MOST = 100_000  # a slip such as 1x1000000000 must not fill the memory
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RUN = re.compile(rf"(?:_|(?P<first>{NUMBER})(?P<step>[+-](?:\d+\.?\d*|\.\d+))?)(?:x(?P<times>\d+))?$")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A data point of a test: when it is stamped, when it arrives (seconds since the start), and what it is."""

    at_seconds: int
    arrives_seconds: int
    metric: Metric
    value: float
    unit: str | None
    high_resolution: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """An alarm's change of state at a second since the start; `sent` tells whether actions ran."""

    at_seconds: int
    state: State
    sent: bool
    entered: bool

    def __str__(self) -> str:
        return f"{spell(self.at_seconds)} {self.state}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One test's outcome; `failures` are `file:line: …`, `histories` each alarm's changes."""

    name: str
    failures: list[str]
    histories: dict[str, list[Change]]


def seconds_of(text: str) -> int:
    """5400 of 1h30m."""
    hours, minutes, seconds = (int(part or 0) for part in DURATION.match(text).groups())  # type: ignore[union-attr]
    return hours * 3600 + minutes * 60 + seconds


def spell(seconds: int) -> str:
    """1h30m of 5400."""
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0m"


def expand(text: str) -> list[float | None]:
    """promtool's notation: `1 2`, `1x4` is five times 1, `2+1x4` is 2 3 4 5 6, `_` and `_x3` are no data.

    Raises ValueError for what is none of them.
    """
    found: list[float | None] = []
    for part in text.split():
        match = RUN.match(part)
        if not match or (match["step"] and not match["times"]):
            raise ValueError(f"{part!r} is no value")
        times = int(match["times"] or 0)
        if len(found) + times > VALUES_MOST:
            raise ValueError(f"{part!r} makes more than {VALUES_MOST} values")
        if match["first"] is None:
            found += [None] * max(times, 1)
        else:
            first, step = float(match["first"]), float(match["step"] or 0)
            found += [first + step * index for index in range(times + 1)]
    return found


def metric_of(text: str) -> Metric:
    """The metric of `Namespace/Name{Dimension=value,…}`."""
    head, _, dimensions = text.partition("{")
    namespace, _, name = head.rpartition("/")
    pairs = [part.partition("=") for part in dimensions.rstrip("}").split(",") if part.strip()]
    return Metric.of(namespace, name.strip(), {key.strip(): value.strip().strip('"') for key, _, value in pairs})


def run_file(path: Path) -> list[Result]:
    """Runs all tests of a file. Raises DocumentInvalid or AlarmInvalid where it cannot be used."""
    document = load_document(path, SCHEMA)
    response = _alarms(document)
    return [_run(document, response, index) for index in range(len(document.content["tests"]))]


def _alarms(document: Document) -> Mapping[str, Any]:
    """The alarms as DescribeAlarms has them."""
    given = document.content["alarms"]
    if isinstance(given, list):
        return {
            "MetricAlarms": [entry for entry in given if "AlarmRule" not in entry],
            "CompositeAlarms": [entry for entry in given if "AlarmRule" in entry],
        }
    path = document.path.parent / given["from"]
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise document.wrong(f"{path} cannot be read: {error}; give JSON", "alarms", "from") from error
    return response_of(found, path)


def response_of(found: Any, path: Path) -> Mapping[str, Any]:
    """The alarms of a file in either form. Raises DocumentInvalid for a third."""
    if isinstance(found, dict) and terraform_plan.is_terraform(found):
        return terraform_plan.describe_alarms(found)
    if isinstance(found, dict) and ("MetricAlarms" in found or "CompositeAlarms" in found):
        return found
    raise DocumentInvalid(
        f"{path}: neither a Terraform plan nor alarms; make one with `terraform show -json` or "
        f"`aws cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm`"
    )


def _run(document: Document, response: Mapping[str, Any], index: int) -> Result:
    """One test: plays its series, then compares."""
    test = document.content["tests"][index]
    book = AlarmBook(extra_periods=document.content.get("extra_periods", EXTRA_PERIODS))
    book.load(response)
    _known(document, book, index)
    samples = sorted(_samples(document, index), key=lambda sample: sample.arrives_seconds)
    histories = _play(document, book, samples, _until(test, samples))
    failures = [f"{document.path}:{document.line(*place)}: {text}" for place, text in _failures(index, test, histories)]
    return Result(name=test["name"], failures=failures, histories=histories)


def _known(document: Document, book: AlarmBook, index: int) -> None:
    """Every alarm that is expected of must be there."""
    test = document.content["tests"][index]
    for key in ("states", "changes", "actions", "never"):
        for position, name in enumerate(test.get(key, ())):
            if name not in book.standings:
                near = difflib.get_close_matches(name, book.standings, n=1)
                remedy = f"is it {near[0]}?" if near else f"there are {', '.join(sorted(book.standings)):.400}"
                raise document.wrong(
                    f"there is no alarm {name!r}; {remedy}", "tests", index, key, position if key == "never" else name
                )


def _samples(document: Document, index: int) -> Iterator[Sample]:
    """The data points of a test's series."""
    test = document.content["tests"][index]
    interval = seconds_of(test.get("interval", "1m"))
    if interval == 0:
        raise document.wrong("an interval of nothing; write 1m, say", "tests", index, "interval")
    for position, series in enumerate(test["series"]):
        try:
            values = expand(str(series["values"]))
        except ValueError as error:
            remedy = "write '1 2', '1x4', '2+1x4', '_' or '_x3'"
            raise document.wrong(f"{error}; {remedy}", "tests", index, "series", position, "values") from error
        metric, delay = metric_of(series["metric"]), seconds_of(series.get("delay", "0s"))
        for number, value in enumerate(values):
            if value is not None:
                yield Sample(
                    at_seconds=number * interval,
                    arrives_seconds=number * interval + delay,
                    metric=metric,
                    value=value,
                    unit=series.get("unit"),
                    high_resolution=series.get("high_resolution", interval < 60),
                )


def _until(test: Mapping[str, Any], samples: Iterable[Sample]) -> int:
    """The last second that matters: what is said, else the last expectation or the minute after the last data."""
    if "until" in test:
        return seconds_of(test["until"])
    times = [seconds_of(at) for moments in test.get("states", {}).values() for at in moments]
    times += [
        seconds_of(change.split()[0])
        for key in ("changes", "actions")
        for changes in test.get(key, {}).values()
        for change in changes
    ]
    return max([60, *times, *(sample.arrives_seconds + 60 for sample in samples)])


def _play(document: Document, book: AlarmBook, samples: list[Sample], until_seconds: int) -> dict[str, list[Change]]:
    """Each alarm's changes. The alarms are created at the start; the first evaluation is one step after it."""
    start = datetime.fromisoformat(document.content.get("start", DEFAULT_START).upper().replace("Z", "+00:00"))
    metrics = MetricStore()
    histories: dict[str, list[Change]] = {name: [] for name in book.standings}
    step = min((alarm.resolution_seconds for alarm in book.metric_alarms.values()), default=60)
    arrived = 0
    for second in range(step, until_seconds + 1, step):
        while arrived < len(samples) and samples[arrived].arrives_seconds <= second:
            _store(metrics, samples[arrived], start)
            arrived += 1
        for change in book.tick((start + timedelta(seconds=second)).astimezone(UTC), metrics):
            made = Change(
                at_seconds=second,
                state=change.new,
                sent=bool(change.notifications),
                entered=change.new is not change.old,
            )
            histories[change.alarm.name].append(made)
    return histories


def _store(metrics: MetricStore, sample: Sample, start: datetime) -> None:
    at = start + timedelta(seconds=sample.at_seconds)
    metrics.put(sample.metric, at, sample.value, unit=sample.unit, high_resolution=sample.high_resolution)


def _failures(
    index: int, test: Mapping[str, Any], histories: Mapping[str, list[Change]]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(place, what is not as expected)."""
    for name, moments in test.get("states", {}).items():
        for at, expected in moments.items():
            found = _state_at(histories[name], seconds_of(at))
            if found != expected:
                text = f"at {at} {name} is {found}, expected {expected} ({_told(histories[name])})"
                yield ("tests", index, "states", name, at), text
    for key, kept in (("changes", "entered"), ("actions", "sent")):
        for name, expected in test.get(key, {}).items():
            wanted = [f"{spell(seconds_of(change.split()[0]))} {change.split()[1]}" for change in expected]
            made = [str(change) for change in histories[name] if getattr(change, kept)]
            if wanted != made:
                text = f"{key} of {name} are [{', '.join(made)}], expected [{', '.join(wanted)}]"
                yield ("tests", index, key, name), text
    for position, name in enumerate(test.get("never", ())):
        if any(change.state is State.ALARM for change in histories[name]):
            yield ("tests", index, "never", position), f"{name} must never go to ALARM ({_told(histories[name])})"


def _state_at(history: Iterable[Change], second: int) -> State:
    """The state after the evaluation at `second`."""
    state = State.INSUFFICIENT_DATA
    for change in history:
        if change.at_seconds <= second:
            state = change.state
    return state


def _told(history: Iterable[Change]) -> str:
    """A history for people."""
    return "its changes: " + (", ".join(map(str, history)) or "none")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.yaml…", type=click.Path(path_type=Path))
@click.option("--verbose", "-v", is_flag=True, help="Show every alarm's changes, of passed tests too.")
def main(files: tuple[Path, ...], verbose: bool) -> None:
    """Run unit tests for CloudWatch alarms. Exit codes: 0 all passed, 1 a test failed, 2 a file cannot be used.

    \b
    alarms: {from: plan.json}      # terraform show -json, or describe-alarms; or a list of alarms
    tests:
      - name: a silent dispatcher pages within five minutes
        series:
          - {metric: "OpsPipeline/RunsCompleted{Service=dispatcher}", values: "1x9 _x10"}
        states: {ops-pipeline-dispatcher-silent: {5m: OK, 14m: ALARM}}
        actions: {ops-pipeline-dispatcher-silent: [1m OK, 13m ALARM]}
        never: [ops-pipeline-dispatcher-failing]

    Values are written as for promtool, one a minute (or `interval`): `1x4` is five times 1, `2+1x4` is 2 3 4 5 6,
    `_` and `_x3` are no data. A state at 5m is the one after the evaluation at 5m, which sees the minutes 0 to 4.
    scripts/ops/local/alarms/alarm-test.schema.json has the rest.
    """
    failed = passed = 0
    try:
        for path in files:
            for result in run_file(path):
                failed += bool(result.failures)
                passed += not result.failures
                click.echo(f"{'FAILED' if result.failures else 'ok    '} {result.name}")
                for failure in result.failures:
                    click.echo(f"  {failure}")
                if verbose:
                    for name, history in result.histories.items():
                        click.echo(f"  {name}: {', '.join(map(str, history)) or 'no change'}")
    except PipelineError as error:
        click.echo(f"alarm-test: {error}", err=True)
        sys.exit(2)
    click.echo(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
