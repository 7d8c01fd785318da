"""Which finding explains which: by the way through the graph, by what the one makes of the other, and by time.

| an effect is explained | when |
|---|---|
| as the same thing | both have one code, and it is about something that all share, or about one parameter |
| by mechanism | the cause makes just that (`MECHANISMS`), for a service that both are about |
| as a symptom | it is one, it lies downstream, and nothing speaks against it (`_against`) |

What is neither is a cause, however many others there are: configuration and state are facts, and none is explained
by another fact's consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from healthcheck.aws.definitions import Definitions
from healthcheck.aws.triggers import Triggers
from healthcheck.diagnosis import moments
from healthcheck.diagnosis.graph import Graph, Node
from healthcheck.diagnosis.places import REFUSED_BARS, Placed, parameter_of
from healthcheck.finding import Severity
from healthcheck.snapshot import Runs, Schema, Snapshot
from pipeline.catalog import RATE, Catalog

# Codes that tell what one sees, not what is wrong; any of them may be the last that is known.
SYMPTOMS = frozenset(
    (
        "bars_gap",
        "features_stale",
        "backlog",
        "stuck_rows",
        "task_crash",
        "task_hang",
        "dead_letters",
        "feed_delayed",
        "feed_broken",
        "watcher_silent",
    )
)
# Nothing that runs fails by these; what is wrong with them is that they are so.
INERT = frozenset(("parameter_unread", "schedule_extra", "alarm_missing", "alarm_no_action", "alarm_disabled"))
INERT |= frozenset(("subscription_unconfirmed", "watcher_silent"))
# Each is about something that all services share: two findings with one of these codes are one fault.
SHARED = frozenset(("key_rejected", "key_swapped", "not_entitled", "rate_limited", "provider_error", "ticker_config"))
SHARED |= frozenset(("db_unreachable", "db_connections", "db_locked", "db_schema", "task_network"))
# What a fault of an old revision is about → the newest one has it too, unless one of these is another.
DIFFERS: Mapping[str, tuple[str, ...]] = {
    "image_missing": ("digest",),
    "parameter_missing": ("secrets",),
    "parameter_denied": ("secrets", "execution_role_arn"),
    "config_invalid": ("secrets", "environment", "digest"),
    "ticker_config": ("secrets", "environment", "digest"),
    "db_schema": ("digest",),
    "task_oom": ("memory", "digest"),
}
# Cause → what it makes of other facts, for a service of both (`""`: of whatever service).
MECHANISMS: Mapping[str, tuple[str, ...]] = {
    "target_revision_stale": tuple(DIFFERS),
    "image_stale": ("config_invalid", "ticker_config", "db_schema"),
    "role_missing": ("parameter_denied",),
    "target_network": ("task_network",),
    "task_network": ("provider_error",),
    "key_swapped": ("key_rejected",),
    "db_unreachable": ("db_connections", "db_locked"),
    "db_connections": ("db_unreachable",),
}
ANY_SERVICE = frozenset(("key_swapped", "db_unreachable", "db_connections"))
# A run that completes and finds nothing newer was not kept from running.
DELAYS = ("rate_limited", "provider_error", "ticker_config", "config_invalid", "image_stale", "target_revision_stale")
# A feed's failures are counted by runs that ran.
BREAKS_FEEDS = ("task_network", "config_invalid", "feed_broken")
BREAKS_LETTERS = ("task_crash", "task_oom", "task_hang", "image_missing", "parameter_missing", "parameter_denied")
# From a fault to the first thing that shows it, beside two periods of who shows it.
SLACK = timedelta(minutes=10)
# Bars that came before this were there to be computed with.
BARS_STOPPED = timedelta(minutes=3)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rules look at beside the two findings."""

    graph: Graph
    snapshot: Snapshot

    @property
    def catalog(self) -> Catalog:
        return self.snapshot.scope.catalog

    @property
    def runs(self) -> Runs | None:
        found = self.snapshot.parts.get(Runs)
        return found if isinstance(found, Runs) else None


def explains(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """Whether the effect would be there because of the cause alone. Never both ways round: `order` decides."""
    if cause.order >= effect.order or not _in_time(cause, effect, evidence):
        return False
    return same(cause, effect, evidence) or _makes(cause, effect, evidence) or _follows(cause, effect, evidence)


def same(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """One fault, seen twice: a key that the provider and the ledger speak of, a parameter that two services refuse."""
    if cause.code != effect.code or REFUSED_BARS in (cause.finding.key, effect.finding.key):
        return False
    if cause.symbol or effect.symbol:
        return cause.code == "ticker_config" and cause.symbol is None
    if cause.code == "config_invalid":
        named = parameter_of(cause.finding, evidence.catalog)
        return named is not None and named == parameter_of(effect.finding, evidence.catalog)
    if cause.code == "task_network":
        return set(effect.services) <= set(cause.services)
    if cause.code == "db_permission":  # grants are each service's own; parts of the snapshot are read by one role
        return not cause.services and not effect.services
    return cause.code in SHARED


def _makes(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """By mechanism."""
    if effect.code not in MECHANISMS.get(cause.code, ()) or effect.finding.key == REFUSED_BARS:
        return False
    if cause.code in ANY_SERVICE:
        return True
    if not effect.services or not set(effect.services) <= set(cause.services):
        return False
    if cause.code == "target_revision_stale":
        return _only_in_old_revision(effect, evidence)
    if cause.code == "image_stale" and effect.code == "db_schema":
        schema = evidence.snapshot.parts.get(Schema)  # an old image's list of migrations, not the database
        return isinstance(schema, Schema) and not (schema.pending or schema.edited or schema.missing)
    return True


def _only_in_old_revision(effect: Placed, evidence: Evidence) -> bool:
    """Whether the newest revision differs in what the fault is about; where that cannot be seen, it may."""
    definitions, triggers = (evidence.snapshot.parts.get(kind) for kind in (Definitions, Triggers))
    if effect.code not in DIFFERS or not isinstance(definitions, Definitions) or not isinstance(triggers, Triggers):
        return True
    for name in effect.services:
        service = evidence.catalog[name]
        schedule, newest = triggers.schedule(name, service.schedule), definitions.newest(service.task_definition)
        pinned = definitions.of(service.task_definition, schedule.target.revision) if schedule else None
        if pinned and newest and all(getattr(pinned, each) == getattr(newest, each) for each in DIFFERS[effect.code]):
            return False
    return True


def _follows(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """As a symptom."""
    if effect.code not in SYMPTOMS or not _works_on(cause, evidence):
        return False
    below = evidence.graph.downstream(cause.nodes)
    if not any(node in below for node in effect.nodes):
        return False
    return not any(rule(cause, effect, evidence) for rule in AGAINST)


def _works_on(cause: Placed, evidence: Evidence) -> bool:
    """Whether anything fails by it, or only might one day."""
    finding = cause.finding
    if cause.code in INERT or finding.severity in (Severity.INFO, Severity.UNKNOWN):
        return False
    if cause.code == "schedule_window":
        return finding.severity is Severity.CRITICAL
    if cause.code == "role_pass_role":  # the letters of what fails, no more
        refused = finding.evidence.get("refused") or [finding.summary]
        return any("sqs:SendMessage" not in str(each) for each in refused)
    if cause.code == "config_invalid":  # the calendar's end, a service that is not in the catalogue
        return bool(cause.services)
    return cause.code != "schedule_wrong_rate" or not _faster(cause, evidence.catalog)


def _faster(cause: Placed, catalog: Catalog) -> bool:
    """Whether a wrong rate is at least as fast as the right one."""
    seen = cause.finding.evidence.get("seen")
    match = RATE.fullmatch(str(seen.get("expression"))) if isinstance(seen, Mapping) else None
    if not match or not cause.services:
        return False
    count, unit = (part for part in match.groups() if part)
    return timedelta(**{f"{unit}s": int(count)}) <= catalog[cause.services[0]].period


# ── what speaks against a symptom being explained ────────────────────────────────────────────────────────────────────


def _of_another_symbol(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """A fault of one symbol makes no other one late."""
    if cause.finding.key == REFUSED_BARS:
        named = [name for each in cause.finding.evidence.values() if isinstance(each, Mapping)
                 for name in each.get("symbols", ())]  # fmt: skip
        return effect.symbol not in named
    return cause.symbol is not None and cause.symbol != effect.symbol


def _ran_and_found_nothing(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """Feeds are broken and bars delayed for runs that ran."""
    if effect.code == "feed_delayed":
        return cause.code not in DELAYS
    if effect.code == "feed_broken" and Node("feeds") in effect.nodes:
        own = effect.subject in evidence.catalog.services
        return cause.code not in BREAKS_FEEDS or (cause.code == "feed_broken" and not own)
    return False


def _letter_of_another(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """A function's own dead letters come of its failed runs; the scheduler's of what stands in the target."""
    functions = Node("completion", effect.subject) in effect.nodes
    return effect.code == "dead_letters" and functions and cause.code not in BREAKS_LETTERS


def _crashes_of_the_right_revision(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """A second trigger of an old revision does not make the current one crash."""
    if cause.code != "trigger_duplicate" or effect.code not in ("task_crash", "task_hang"):
        return False
    triggers, crashed = evidence.snapshot.parts.get(Triggers), effect.finding.evidence.get("revision")
    if not isinstance(triggers, Triggers) or crashed is None:
        return False
    schedule = triggers.schedule(effect.subject, evidence.catalog[effect.subject].schedule)
    return schedule is not None and schedule.target.revision in (None, crashed)


def _bars_were_there(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """Features of bars that came long ago do not wait for bars: only what comes in late makes them late."""
    runs = evidence.runs
    if effect.code != "features_stale" or runs is None:
        return False
    writers, readers = ({service.name for service in evidence.catalog.writers(table)} for table in ("bars", "features"))
    below = evidence.graph.downstream(cause.nodes)
    if any(Node("completion", name) in below for name in readers):
        return False
    newest = max((runs.completed[name] for name in writers if name in runs.completed), default=None)
    return newest is not None and evidence.snapshot.now - newest > BARS_STOPPED


AGAINST: tuple[Callable[[Placed, Placed, Evidence], bool], ...] = (
    _of_another_symbol,
    _ran_and_found_nothing,
    _letter_of_another,
    _crashes_of_the_right_revision,
    _bars_were_there,
)


def _in_time(cause: Placed, effect: Placed, evidence: Evidence) -> bool:
    """Not where the effect was there well before the cause; without both times, it may be."""
    began = moments.changed(cause.finding, evidence.snapshot)
    felt = moments.felt(effect.finding, evidence.snapshot)
    if began is None or felt is None:
        return True
    period = max((evidence.catalog[name].period for name in effect.services), default=timedelta(minutes=5))
    return began <= felt + SLACK + 2 * period
