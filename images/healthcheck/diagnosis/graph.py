"""The pipeline as a graph: its links, which link's fault makes which other one fail, and where each code stands in it.

A link is one thing that can be broken: a service's trigger, its role, its image, a table's rows. The links stand in
`LINKS` from the most upstream to the last; every edge leads from an earlier to a later one, so there is no circle.
Services and tables come from the catalogue: who reads and who writes makes the edges of the data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.catalog import Catalog, Service

# Of each service; of no one (`""`); of each table.
OF_SERVICES = (
    "trigger",  # its schedule: there, enabled, at its rate
    "double",  # nothing else starts it
    "starter",  # the role that the scheduler takes
    "target",  # cluster, revision, subnets of the start
    "revision",  # the revision that is started is the newest
    "own_role",  # the roles of the task or function itself
    "image",
    "parameters",  # they exist and may be read
    "network",
    "grants",  # of its database role
    "config",  # the values of its parameters
    "delivery",  # the scheduler's call of the target
    "run",  # a started run lives to its end
    "completion",  # runs come, and succeed
    "input",  # the rows that it reads
    "alarm",
)
SHARED = ("database", "tickers", "provider", "supply", "feeds", "stray", "topic", "notification")
# The order of the links, most upstream first; rows and inputs are ordered among themselves by the catalogue.
LINKS = (
    "trigger",
    "double",
    "starter",
    "target",
    "revision",
    "own_role",
    "image",
    "parameters",
    "network",
    "database",
    "grants",
    "tickers",
    "config",
    "provider",
    "delivery",
    "run",
    "supply",
    "feeds",
    "completion",
    "rows",
    "stray",
    "alarm",
    "topic",
    "notification",
)
# Code → link. Codes of symptoms stand where their subject says (healthcheck.diagnosis.places).
CODES: Mapping[str, str] = {
    **dict.fromkeys(("schedule_missing", "schedule_disabled", "schedule_wrong_rate", "schedule_window"), "trigger"),
    "schedule_extra": "stray",
    "trigger_duplicate": "double",
    **dict.fromkeys(("role_missing", "role_trust", "role_run_task", "role_pass_role"), "starter"),
    **dict.fromkeys(("target_cluster", "target_task_definition", "target_network"), "target"),
    "target_revision_stale": "revision",
    "dead_letters": "delivery",
    **dict.fromkeys(("image_missing", "image_stale"), "image"),
    **dict.fromkeys(("parameter_missing", "parameter_denied"), "parameters"),
    "parameter_unread": "stray",
    **dict.fromkeys(("task_crash", "task_oom", "task_hang"), "run"),
    "task_network": "network",
    **dict.fromkeys(("key_rejected", "key_swapped", "not_entitled", "rate_limited", "provider_error"), "provider"),
    "feed_delayed": "supply",
    "feed_broken": "feeds",
    **dict.fromkeys(("bars_gap", "features_stale", "stuck_rows"), "rows"),
    "ticker_config": "tickers",
    "config_invalid": "config",
    **dict.fromkeys(("backlog", "watcher_silent"), "completion"),
    **dict.fromkeys(("db_unreachable", "db_schema", "db_locked", "db_connections"), "database"),
    "db_permission": "grants",
    **dict.fromkeys(("alarm_missing", "alarm_no_action", "alarm_disabled"), "alarm"),
    "subscription_unconfirmed": "topic",
}
STARTS = ("trigger", "delivery", "run", "config", "grants")  # what completion needs of the service itself
RUNS = ("double", "revision", "own_role", "image", "parameters", "network")  # what a started run needs


@dataclass(frozen=True, order=True)
class Node:
    """A link of one service or table, or one that all share."""

    link: str
    of: str = ""

    def __str__(self) -> str:
        return f"{self.link} of {self.of}" if self.of else self.link


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`after`: node → the nodes that fail when it is broken. `depths`: how far a table or input is from the source."""

    after: Mapping[Node, frozenset[Node]]
    depths: Mapping[Node, int]

    def order(self, node: Node) -> tuple[int, int]:
        """Where it stands: along every edge this grows."""
        link = "rows" if node.link == "input" else node.link
        return LINKS.index(link), self.depths.get(node, 0)

    def downstream(self, nodes: Collection[Node]) -> frozenset[Node]:
        """The nodes and everything that fails with them."""
        return _downstream(self, frozenset(nodes))

    def __hash__(self) -> int:
        return id(self)


@lru_cache(maxsize=1024)
def _downstream(graph: Graph, nodes: frozenset[Node]) -> frozenset[Node]:
    found, waiting = set(nodes), list(nodes)
    while waiting:
        new = graph.after.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return frozenset(found)


def build(catalog: Catalog) -> Graph:
    """The graph of a catalogue."""
    after: dict[Node, set[Node]] = {Node(link): set() for link in SHARED}
    for earlier, later in _edges(catalog):
        after.setdefault(earlier, set()).add(later)
        after.setdefault(later, set())
    frozen = {node: frozenset(after[node]) for node in sorted(after)}
    return Graph(after=frozen, depths=_depths(frozen))


def _edges(catalog: Catalog) -> Iterator[tuple[Node, Node]]:
    for service in catalog:
        yield from _edges_of_start(service)
        yield from _edges_of_rows(service)
        yield from _edges_of_shared(service)
    yield Node("supply"), Node("rows", "bars")
    yield Node("provider"), Node("supply")
    yield Node("tickers"), Node("supply")
    yield Node("feeds"), Node("rows", "news")
    yield Node("topic"), Node("notification")


def _edges_of_start(service: Service) -> Iterator[tuple[Node, Node]]:
    name = service.name
    yield from ((Node(link, name), Node("run", name)) for link in RUNS)
    yield from ((Node(link, name), Node("completion", name)) for link in STARTS)
    yield from ((Node(link, name), Node("delivery", name)) for link in ("starter", "target", "own_role"))


def _edges_of_rows(service: Service) -> Iterator[tuple[Node, Node]]:
    for table in service.reads:
        yield Node("rows", table), Node("input", service.name)
    for table in service.writes:
        yield Node("completion", service.name), Node("rows", table)
        yield Node("input", service.name), Node("rows", table)


def _edges_of_shared(service: Service) -> Iterator[tuple[Node, Node]]:
    name = service.name
    yield Node("database"), Node("run", name)
    yield Node("alarm", name), Node("notification")
    if any(parameter.kind == "symbols" for parameter in service.parameters):
        yield Node("tickers"), Node("completion", name)
    if "bars" in service.writes:  # it asks the provider
        yield Node("provider"), Node("completion", name)
        yield Node("config", name), Node("supply")
        yield from ((Node(link, name), Node("supply")) for link in ("revision", "image"))
    if "news" in service.writes:  # it reads the feeds
        yield from ((Node(link, name), Node("feeds")) for link in ("config", "network"))
    if "findings" in service.writes:
        yield Node("completion", name), Node("notification")


def _depths(after: Mapping[Node, Collection[Node]]) -> dict[Node, int]:
    """The longest way from a table that is read from outside; a catalogue in which tables feed each other has none."""
    data = {node for node in after if node.link in ("rows", "input")}
    depths = dict.fromkeys(sorted(data), 0)
    for _ in range(len(data) + 1):
        longer = [
            (later, depths[node] + 1)
            for node in data
            for later in after[node]
            if later in data and depths[later] <= depths[node]
        ]
        if not longer:
            return depths
        for node, depth in longer:
            depths[node] = max(depths[node], depth)
    return dict.fromkeys(data, 0)
