"""Where in the graph a finding stands: by its code, its subject, and the services that it says it hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healthcheck.diagnosis.graph import CODES, Graph, Node
from healthcheck.finding import Finding
from pipeline.catalog import Catalog, Parameter

# Subjects of findings about late rows → the table whose rows they are.
TABLES: Mapping[tuple[str, str], str] = {
    ("bars_gap", "bars"): "bars",
    ("features_stale", "features"): "features",
    ("feed_broken", "news"): "news",
    ("backlog", "watchlist"): "watchlist",
}
# Subjects of findings about rows that wait → the table whose writer they wait for: more input does not shorten a queue.
QUEUES: Mapping[tuple[str, str], str] = {
    ("backlog", "news"): "sentiment",
    ("backlog", "dispatches pending"): "dispatches",
    ("backlog", "signals untaken"): "dispatches",
    ("stuck_rows", "dispatches claimed"): "dispatches",
}
SCHEDULER = "scheduler.amazonaws.com"
STARTS_IT = "which starts it"
# Bars that break a constraint are the provider's too, but a matter of their own.
REFUSED_BARS = ("provider_error", "bars_rejected")
# Of findings of one code about one thing, the one that names the thing itself comes first.
THINGS = ("migrations", "tables", "database", "provider", "tickers", "network")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A finding with its nodes and the services that it is about. `symbol`: it concerns that symbol alone."""

    finding: Finding
    nodes: frozenset[Node]
    services: tuple[str, ...]
    symbol: str | None
    order: tuple[tuple[int, int], int, int, str]

    @property
    def code(self) -> str:
        return self.finding.code

    @property
    def subject(self) -> str:
        return self.finding.subject

    @property
    def name(self) -> str:
        return f"{self.code}:{self.subject}"

    @property
    def link(self) -> str:
        """Its most upstream link."""
        return min(self.nodes).link if len({node.link for node in self.nodes}) == 1 else "several"


def place(finding: Finding, graph: Graph, catalog: Catalog) -> Placed:
    """The finding, placed. A code that the graph does not know stands apart and is always a cause."""
    services = services_of(finding, catalog)
    nodes = _nodes(finding, services, catalog)
    return Placed(
        finding=finding,
        nodes=nodes,
        services=services,
        symbol=_symbol(finding, catalog),
        order=(
            min(graph.order(node) for node in nodes),
            _thing(finding.subject, catalog),
            list(CODES).index(finding.code) if finding.code in CODES else len(CODES),
            finding.subject,
        ),
    )


def services_of(finding: Finding, catalog: Catalog) -> tuple[str, ...]:
    """The services that a finding is about: its subject, those that its evidence lists, or a parameter's readers."""
    if finding.subject in catalog.services:
        return (finding.subject,)
    listed = finding.evidence.get("services")
    if isinstance(listed, list | tuple) and listed:
        return tuple(name for name in catalog.services if name in listed)
    parameter = catalog.parameters.get(finding.subject)
    return readers(parameter, catalog) if parameter else ()


def readers(parameter: Parameter, catalog: Catalog) -> tuple[str, ...]:
    """The services that are given a parameter."""
    return tuple(service.name for service in catalog if parameter in service.environment)


def parameter_of(finding: Finding, catalog: Catalog) -> str | None:
    """The parameter that a refused configuration names, as pipeline.settings words it."""
    if finding.subject in catalog.parameters:
        return finding.subject
    text = str(finding.evidence.get("error") or finding.summary)
    return next((each.name for each in catalog.parameters.values() if f"({each.env})" in text), None)


def _nodes(finding: Finding, services: tuple[str, ...], catalog: Catalog) -> frozenset[Node]:
    table = TABLES.get(finding.key)
    link = _link(finding, catalog)
    if table:
        return frozenset({Node("rows", table)})
    if finding.key in QUEUES:
        return frozenset(Node("completion", service.name) for service in catalog.writers(QUEUES[finding.key]))
    if finding.code == "bars_gap" and not services:
        return frozenset({Node("rows", "bars")})  # of one symbol
    if link in ("database", "tickers", "provider", "supply", "feeds", "stray", "topic"):
        return frozenset({Node(link)})
    return frozenset(Node(link, name) for name in services) or frozenset({Node("stray")})


def _link(finding: Finding, catalog: Catalog) -> str:
    """The link of its code; some codes stand in another where the subject or the evidence says so."""
    service = catalog.services.get(finding.subject)
    link = CODES.get(finding.code, "stray")
    if link == "starter" and not starts(finding):
        return "own_role"
    if finding.code == "dead_letters" and service and service.kind == "lambda":
        return "completion"  # a function's own dead letters come after its failed runs
    if link in ("rows", "supply") and service:
        return "completion"  # what a run said of itself
    return link


def starts(finding: Finding) -> bool:
    """Whether a finding about a role is about the one that starts a service."""
    if finding.code in ("role_run_task", "role_pass_role"):
        return True
    evidence = finding.evidence
    return evidence.get("taker") == SCHEDULER or evidence.get("use") == STARTS_IT or not evidence.get("role")


def _symbol(finding: Finding, catalog: Catalog) -> str | None:
    if finding.code not in ("bars_gap", "ticker_config") or finding.key in TABLES:
        return None
    known = finding.subject in catalog.services or finding.subject in catalog.parameters
    return None if known else finding.subject


def _thing(subject: str, catalog: Catalog) -> int:
    """The thing itself, then services in the catalogue's order, then the rest."""
    if subject in THINGS:
        return THINGS.index(subject) - len(THINGS)
    names = list(catalog.services)
    return names.index(subject) if subject in names else len(names)
