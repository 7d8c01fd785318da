"""In what state each link, table and source of the pipeline is, and which checks have to say so before it is green."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from healthcheck.checks import Report
from healthcheck.checks.resting import is_paused
from healthcheck.diagnosis import graph, places
from healthcheck.diagnosis.graph import Node
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service


class State(StrEnum):
    """From the best to the worst. `unknown` is what was not looked at, or could not be: never `ok`."""

    OK = "ok"
    RESTING = "resting"
    UNKNOWN = "unknown"
    WARNING = "warning"
    FAULTY = "faulty"


ORDER = tuple(State)
OF_SEVERITY = {
    Severity.CRITICAL: State.FAULTY,
    Severity.WARNING: State.WARNING,
    Severity.UNKNOWN: State.UNKNOWN,
    Severity.INFO: State.OK,
}


def worst(states: Iterable[State]) -> State:
    """The worst of them; of none, `unknown`."""
    return max(states, key=ORDER.index, default=State.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What must have been judged before a thing is called ok, and the nodes of the graph whose findings are its own."""

    checks: tuple[str, ...]
    nodes: tuple[str, ...]


# The way of a start, in its order. A function has no network placement of its own to judge.
LINKS: Mapping[str, Proof] = {
    "schedule": Proof(
        checks=("schedules_exist", "schedules_enabled", "schedules_timed", "schedules_open", "triggers_single"),
        nodes=("trigger", "double"),
    ),
    "role": Proof(checks=("roles_exist", "roles_trusted", "starts_permitted"), nodes=("starter", "own_role")),
    "target": Proof(
        checks=("clusters_right", "definitions_right", "revisions_current", "networks_right", "letters_delivered"),
        nodes=("target", "revision", "delivery"),
    ),
    "image": Proof(checks=("images_held", "images_meant", "functions_work"), nodes=("image",)),
    "parameters": Proof(checks=("parameters_stored", "parameters_readable"), nodes=("parameters", "config")),
    "network": Proof(checks=("ways_out_open",), nodes=("network",)),
    "runs": Proof(checks=("services_progress", "tasks_end_well", "tasks_end"), nodes=("run", "completion", "grants")),
    "alarms": Proof(checks=("alarms_exist", "alarms_sound"), nodes=("alarm",)),
}
TASKS_ONLY = ("network",)
# Without a schedule there is nothing to look at.
OF_SCHEDULE = ("target", "network")
NO_SCHEDULE = "there is no schedule to look at"

# A table that no check asks about is as good as the runs that write it.
TABLES: Mapping[str, tuple[str, ...]] = {
    "bars": ("bars_fresh", "symbols_fresh", "gaps_filled"),
    "bars_rejected": ("bars_accepted",),
    "features": ("features_fresh",),
    "news": ("news_fresh",),
    "feed_state": ("feeds_work",),
    "sentiment": ("news_classified",),
    "watchlist": ("watchlist_fresh",),
    "dispatches": ("claims_finished", "signals_taken"),
}
SOURCES: Mapping[str, Proof] = {
    "provider": Proof(checks=("keys_accepted", "feed_in_time"), nodes=("provider", "supply")),
    "feeds": Proof(checks=("feeds_work",), nodes=("feeds",)),
}
SHARED: Mapping[str, Proof] = {
    "database": Proof(checks=("schema_current", "evidence_readable"), nodes=("database",)),
    "symbols": Proof(checks=("tickers_sound", "parameters_agree"), nodes=("tickers",)),
    "people": Proof(checks=("alarms_heard",), nodes=("topic", "notification")),
    "calendar": Proof(checks=("calendar_known",), nodes=("calendar",)),
    "strays": Proof(checks=("schedules_declared", "parameters_used", "services_declared"), nodes=("stray",)),
}
# Findings that the graph puts with the strays, and the page with what they are about.
CALENDAR = "sessions"
DATABASE = ("db_permission", "db_schema", "db_locked")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A state, and in words why it is not ok."""

    name: str
    state: State
    why: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The states that a report gives, with the findings that count: those that are open, or are now to be."""

    snapshot: Snapshot
    report: Report
    findings: tuple[Finding, ...]

    @cached_property
    def by_node(self) -> Mapping[Node, list[Finding]]:
        """Every finding at each node where it stands; what says of a check that it was blind is none."""
        catalog = self.snapshot.scope.catalog
        whole = graph.build(catalog)
        found: dict[Node, list[Finding]] = {}
        for finding in self.findings:
            if finding.severity is Severity.UNKNOWN and finding.subject in self._blind:
                continue
            for node in _nodes(finding, places.place(finding, whole, catalog).nodes):
                found.setdefault(node, []).append(finding)
        return found

    @cached_property
    def _blind(self) -> Mapping[str, str]:
        """Name of each check that could not be judged → why."""
        told = {each.subject: each for each in self.report.findings if each.severity is Severity.UNKNOWN}
        return {
            check.name: _reason(told[check.name]) if check.name in told else "could not be judged"
            for check in self.report.unjudged
        }

    @cached_property
    def _judged(self) -> Collection[str]:
        return {check.name for check in self.report.judged}

    def link(self, service: Service, name: str) -> Standing | None:
        """A link of a service; None where a service of its kind has none."""
        if service.kind != "task" and name in TASKS_ONLY:
            return None
        proof = LINKS[name]
        nodes = [Node(each, service.name) for each in proof.nodes]
        found = self._standing(name, nodes, proof.checks)
        if name in OF_SCHEDULE and found.state is State.OK and self._has_no_schedule(service):
            return Standing(name=name, state=State.UNKNOWN, why=(NO_SCHEDULE,))
        if name in ("schedule", "runs") and found.state is State.OK and is_paused(service, self.snapshot):
            return Standing(name=name, state=State.RESTING, why=("it is paused on purpose",))
        return found

    def links(self, service: Service) -> tuple[Standing, ...]:
        """All of a service, in the order of a start."""
        return tuple(found for name in LINKS if (found := self.link(service, name)))

    def table(self, name: str) -> Standing:
        """A table of the catalogue."""
        if name in TABLES:
            return self._standing(name, [Node("rows", name)], TABLES[name])
        own = self._standing(name, [Node("rows", name)], ())
        runs = [found for each in self.snapshot.scope.catalog.writers(name) if (found := self.link(each, "runs"))]
        state = worst([*(each.state for each in runs), *([own.state] if own.why else [])])
        return Standing(
            name=name, state=state, why=own.why or tuple(dict.fromkeys(w for each in runs for w in each.why))
        )

    def source(self, name: str) -> Standing:
        """Where rows come from."""
        return self._standing(name, [Node(each) for each in SOURCES[name].nodes], SOURCES[name].checks)

    def shared(self, name: str) -> Standing:
        """What all services share."""
        return self._standing(name, [Node(each) for each in SHARED[name].nodes], SHARED[name].checks)

    def _has_no_schedule(self, service: Service) -> bool:
        return any(each.code == "schedule_missing" for each in self.by_node.get(Node("trigger", service.name), ()))

    def _standing(self, name: str, nodes: Iterable[Node], checks: Collection[str]) -> Standing:
        """The worst of the findings at the nodes; unknown where a check has not been judged."""
        found = {each.key: each for node in nodes for each in self.by_node.get(node, ())}
        findings = [each for each in found.values() if each.severity is not Severity.INFO]
        unseen = {check: self._blind.get(check, "not looked at") for check in checks if check not in self._judged}
        states = [OF_SEVERITY[each.severity] for each in findings] + [State.UNKNOWN for _ in unseen]
        why = [f"{each.code}: {each.summary}" for each in sorted(findings, key=_gravity)]
        return Standing(
            name=name,
            state=worst(states) if states else State.OK,
            why=(*why, *dict.fromkeys(unseen.values())),
        )


def _nodes(finding: Finding, nodes: Collection[Node]) -> Collection[Node]:
    if finding.subject == CALENDAR:
        return [Node("calendar")]
    if finding.code in DATABASE and Node("stray") in nodes:
        return [Node("database")]
    return nodes


def _gravity(finding: Finding) -> int:
    return -ORDER.index(OF_SEVERITY[finding.severity])


def _reason(finding: Finding) -> str:
    return "; ".join(dict.fromkeys(str(reason) for reason in finding.evidence.values())) or finding.summary
