"""Everything that the page and the terminal show, as one value: the only place where evidence becomes a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from healthcheck.aws.intent import Intent
from healthcheck.checks import ALL, Report
from healthcheck.checks.resting import is_paused
from healthcheck.diagnosis.shape import Cleared, Diagnosis, Verdict, plain
from healthcheck.finding import Finding, Severity
from healthcheck.notice import ORDER as GRAVEST_FIRST
from healthcheck.page import charts, newness, states, strips
from healthcheck.page.charts import Chart
from healthcheck.page.newness import Age
from healthcheck.page.recent import (
    Headline,
    Known,
    KnownFinding,
    LastHour,
    LastNews,
    LastSignals,
    SessionBars,
    ShownSignal,
)
from healthcheck.page.states import Judge, Standing, State, worst
from healthcheck.page.strips import Strip
from healthcheck.snapshot import Market, Runs, Snapshot, Unreadable
from pipeline import sessions
from pipeline.catalog import Service
from pipeline.errors import CalendarEnds
from pipeline.sessions import Session

# A market is never closed for longer.
HORIZON = timedelta(days=14)
CHECKS = frozenset(check.name for check in ALL)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """What takes the place of something that is not known, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    """A service with its links in the order of a start. `state` is the worst of them."""

    name: str
    purpose: str
    schedule: str
    rate: str
    state: State
    links: tuple[Standing, ...]
    strip: Strip | Lacking
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """A finding as people are told it. `causes`: what explains it, as code:subject; none where it is a root cause.

    `since`: when it began, where anything tells; `first_seen`: when a healthcheck first saw it. `seen` False: it is
    open, but was not found this time. `unjudged`: a check's own word that it could not be made, with part → reason as
    its evidence."""

    code: str
    subject: str
    severity: Severity
    summary: str
    evidence: Mapping[str, Any]
    repair: str
    since: datetime | None
    first_seen: datetime | None
    causes: tuple[str, ...] = ()
    seen: bool = True
    unjudged: bool = False
    cleared_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.code}:{self.subject}"


@dataclass(frozen=True, kw_only=True)
class Unread:
    """One reason why something could not be read, the `parts` that it kept back, and the questions left open by it."""

    reason: str
    parts: tuple[str, ...]
    open: tuple[FindingView, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """The pipeline at `now`. `lacking`: name of each part that could not be read → why."""

    now: datetime
    project: str
    environment: str
    account: str | None
    state: State
    headline: str
    market: str
    session: Session | None
    services: tuple[ServiceView, ...]
    tables: tuple[Standing, ...]
    sources: tuple[Standing, ...]
    shared: tuple[Standing, ...]
    findings: tuple[FindingView, ...]
    over: tuple[FindingView, ...]
    innocent: tuple[Cleared, ...]
    lacking: Mapping[str, str]
    ages: tuple[Age, ...]
    signals: tuple[ShownSignal, ...] | Lacking
    news: tuple[Headline, ...] | Lacking
    charts: tuple[Chart, ...] | Lacking
    charts_left_out: int

    def table(self, name: str) -> Standing:
        """A table by its name."""
        return next(each for each in self.tables if each.name == name)

    @property
    def roots(self) -> tuple[FindingView, ...]:
        """What is wrong, less what follows from something else that is, and less what could not be judged."""
        return tuple(each for each in self.findings if not each.causes and not each.unjudged)

    @property
    def unread(self) -> tuple[Unread, ...]:
        """Why checks could not be judged. Many share a reason, told once; who has several is told under each."""
        parts: dict[str, dict[str, None]] = {}
        left: dict[str, list[FindingView]] = {}
        for each in self.findings:
            for part, reason in each.evidence.items() if each.unjudged else ():
                parts.setdefault(str(reason), {})[part] = None
                left.setdefault(str(reason), []).append(each)
        return tuple(
            Unread(reason=reason, parts=tuple(parts[reason]), open=tuple(questions))
            for reason, questions in left.items()
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON can hold it; times as ISO 8601."""
        found: dict[str, Any] = _jsonable(self)
        return found


def build(snapshot: Snapshot, report: Report, diagnosis: Diagnosis) -> View:
    """The view of a snapshot. What it lacks of the parts of `healthcheck.page.recent` is unknown."""
    known = snapshot.parts.get(Known)
    rows = {row.key: row for row in known.findings if row.cleared_at is None} if isinstance(known, Known) else {}
    findings = _findings(snapshot, report, rows)
    judge = Judge(snapshot=snapshot, report=report, findings=findings)
    services = tuple(_service(each, judge) for each in snapshot.scope.catalog)
    tables = tuple(judge.table(name) for name in tables_of(snapshot))
    state = _state(findings, report, services)
    bars = snapshot.parts.get(SessionBars)
    market, session = _market(snapshot)
    place = snapshot.scope.place
    return View(
        now=snapshot.now,
        project=snapshot.scope.catalog.project,
        environment=_environment(snapshot),
        account=place.account if place else None,
        state=state,
        headline=_headline(state, diagnosis, findings, report),
        market=market,
        session=session,
        services=services,
        tables=tables,
        sources=tuple(judge.source(name) for name in states.SOURCES),
        shared=tuple(judge.shared(name) for name in states.SHARED),
        findings=tuple(_views(findings, rows, report, diagnosis)),
        over=_over(known),
        innocent=diagnosis.cleared,
        lacking={name: part.reason for name, part in sorted(snapshot.unreadable().items())},
        ages=newness.ages(snapshot, {each.name: each.state for each in tables}),
        signals=_of(snapshot, LastSignals, lambda part: part.signals),
        news=_of(snapshot, LastNews, lambda part: part.headlines),
        charts=_of(snapshot, SessionBars, lambda part: charts.of(part, snapshot)),
        charts_left_out=bars.left_out if isinstance(bars, SessionBars) else 0,
    )


def tables_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Every table that a service writes, in the order of the catalogue."""
    return tuple(dict.fromkeys(name for service in snapshot.scope.catalog for name in service.writes))


def _findings(snapshot: Snapshot, report: Report, rows: Mapping[tuple[str, str], KnownFinding]) -> tuple[Finding, ...]:
    """What was found, less what opens nothing and is not open; and what is open and was not seen this time."""
    found = {each.key: each for each in report.findings if each.opens or each.key in rows}
    absent = [
        Finding(
            code=row.code,
            subject=row.subject,
            severity=Severity(row.severity),
            summary=row.summary,
            repair=row.repair,
            evidence=row.evidence,
            since=row.since,
        )
        for key, row in rows.items()
        if key not in found
    ]
    return (*found.values(), *absent)


def _service(service: Service, judge: Judge) -> ServiceView:
    links = judge.links(service)
    return ServiceView(
        name=service.name,
        purpose=service.purpose,
        schedule=service.schedule,
        rate=service.rate,
        state=worst(each.state for each in links),
        links=links,
        strip=_strip(service, judge.snapshot),
        reads=service.reads,
        writes=service.writes,
    )


def _strip(service: Service, snapshot: Snapshot) -> Strip | Lacking:
    hour, runs = snapshot.parts.get(LastHour), snapshot.parts.get(Runs)
    if not isinstance(hour, LastHour):
        return Lacking(reason=_why(hour))
    return strips.strip(
        service,
        hour.runs.get(service.name, ()),
        since=hour.since,
        now=snapshot.now,
        ledger_since=runs.since if isinstance(runs, Runs) else None,
        paused=is_paused(service, snapshot),
    )


def _views(
    findings: Sequence[Finding],
    rows: Mapping[tuple[str, str], KnownFinding],
    report: Report,
    diagnosis: Diagnosis,
) -> Iterator[FindingView]:
    """Root causes first, most upstream first; then what nobody could judge or explain; consequences last."""
    causes = {each.name: each for each in diagnosis.causes}
    effects = {each.name: each for each in diagnosis.consequences}
    seen = {each.key for each in report.findings}
    order = [*causes, *effects]

    def rank(finding: Finding) -> tuple[int, int, int]:
        name = f"{finding.code}:{finding.subject}"
        group = 0 if name in causes else 2 if name in effects else 1
        return group, order.index(name) if name in order else 0, GRAVEST_FIRST.index(finding.severity)

    for finding in sorted(findings, key=rank):
        row, name = rows.get(finding.key), f"{finding.code}:{finding.subject}"
        effect = effects.get(name)
        yield FindingView(
            code=finding.code,
            subject=finding.subject,
            severity=finding.severity,
            summary=finding.summary,
            evidence=finding.evidence,
            repair=finding.repair,
            since=finding.since or (causes[name].since if name in causes else None) or (row.since if row else None),
            first_seen=row.first_seen if row else None,
            causes=effect.causes if effect else (),
            seen=finding.key in seen,
            unjudged=finding.severity is Severity.UNKNOWN and finding.subject in CHECKS,
        )


def _over(known: object) -> tuple[FindingView, ...]:
    """What was cleared in the last day, the latest first."""
    if not isinstance(known, Known):
        return ()
    rows = sorted(((row.cleared_at, row) for row in known.findings if row.cleared_at), key=lambda each: each[0])
    return tuple(
        FindingView(
            code=row.code,
            subject=row.subject,
            severity=Severity(row.severity),
            summary=row.summary,
            evidence={},
            repair=row.repair,
            since=row.since,
            first_seen=row.first_seen,
            cleared_at=at,
        )
        for at, row in reversed(rows)
    )


def _state(findings: Sequence[Finding], report: Report, services: Sequence[ServiceView]) -> State:
    """The worst of everything. A service that rests is as good as one that runs."""
    found = [states.OF_SEVERITY[each.severity] for each in findings]
    found += [State.UNKNOWN for _ in report.unjudged]
    found += [each.state for each in services if each.state is not State.RESTING]
    return worst([State.OK, *found])


def _headline(state: State, diagnosis: Diagnosis, findings: Sequence[Finding], report: Report) -> str:
    if state is State.OK:
        return "Market closed; all is well" if diagnosis.verdict is Verdict.MARKET_CLOSED else "All is well"
    told = []
    wrong = [each for each in findings if each.severity in (Severity.CRITICAL, Severity.WARNING)]
    if wrong:
        causes = len(diagnosis.causes) or len(wrong)
        told.append(f"{causes} {'thing is' if causes == 1 else 'things are'} wrong")
    if report.unjudged:
        checks = len(report.unjudged)
        told.append(f"blind: {checks} {'check' if checks == 1 else 'checks'} could not be judged")
    elif not wrong:
        told.append("not everything is known")
    text = "; ".join(told)
    return text[0].upper() + text[1:]


def _market(snapshot: Snapshot) -> tuple[str, Session | None]:
    """Whether the exchange is open, in words; the session that runs, else the last one."""
    market = snapshot.parts.get(Market)
    if not isinstance(market, Market):
        return f"whether the market is open is unknown: {_why(market)}", None
    if market.session:
        return f"market open until {market.session.close:%H:%M} UTC", market.session
    last = market.recent[-1] if market.recent else None
    return f"market closed; {_next(snapshot.now)}", last


def _next(now: datetime) -> str:
    try:
        upcoming = next(iter(sessions.between(now, now + HORIZON)), None)
    except CalendarEnds:
        upcoming = None
    return f"it opens on {upcoming.open:%Y-%m-%d at %H:%M} UTC" if upcoming else "when it opens is unknown"


def _environment(snapshot: Snapshot) -> str:
    intent = snapshot.parts.get(Intent)
    return intent.environment if isinstance(intent, Intent) else "unknown"


def _of(snapshot: Snapshot, kind: type[T], take: Any) -> Any:
    part = snapshot.parts.get(kind)
    return take(part) if isinstance(part, kind) else Lacking(reason=_why(part))


def _why(part: object) -> str:
    return part.reason if isinstance(part, Unreadable) else "not read"


def _jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    return plain(value)
