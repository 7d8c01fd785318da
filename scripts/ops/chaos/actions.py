"""What a step can do, as values: read and checked before anything starts, performed by `perform`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.chaos import moments
from ops.chaos.aws_call import AwsCall

PROCESSES = ("postgres", "exchange", "feeds", "aws")
TEXT_SHOWN = 100
TIMEOUT_SECONDS = 1800.0


def short(text: str) -> str:
    """One line of a text, cut short."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_SHOWN else f"{line[: TEXT_SHOWN - 1]}…"


@dataclass(frozen=True, kw_only=True)
class Sql:
    """Statements as superuser; with `hold_until` in a transaction that stays open till then, in so many sessions."""

    statement: str
    hold_until: datetime | None = None
    sessions: int = 1

    @property
    def breaks(self) -> bool:
        reads = self.statement.lstrip("( \n\t").lower().startswith(("select", "show", "explain", "--"))
        return not reads or self.hold_until is not None

    @property
    def text(self) -> str:
        held = f" held until {moments.clock(self.hold_until)}" if self.hold_until else ""
        return f"sql {short(self.statement)}{held}" + (f" in {self.sessions} sessions" if self.sessions > 1 else "")


@dataclass(frozen=True, kw_only=True)
class ExchangeFault:
    """A fault of the exchange from now on; `values` are those of ops.local.exchange.faults.Fault."""

    values: Mapping[str, Any]
    id: str | None = None
    breaks = True

    @property
    def text(self) -> str:
        more = " ".join(f"{name}={value}" for name, value in self.values.items() if name != "kind")
        return short(f"exchange fault {self.values['kind']} {more}".rstrip())


@dataclass(frozen=True, kw_only=True)
class ExchangeClear:
    """Takes back the faults of these ids; without any, all."""

    ids: tuple[str, ...] = ()
    breaks = False

    @property
    def text(self) -> str:
        return f"exchange clears {', '.join(self.ids) or 'all faults'}"


@dataclass(frozen=True, kw_only=True)
class ExchangeKeys:
    """`issue`, `replace` or `revoke` a key pair."""

    action: str
    values: Mapping[str, Any]

    @property
    def breaks(self) -> bool:
        return self.action != "issue"

    @property
    def text(self) -> str:
        # the secret is the scenario's own, but a timeline that shows secrets teaches a bad habit
        whose = self.values.get("key_id", "every pair")
        return f"exchange keys: {self.action} {whose}"


@dataclass(frozen=True, kw_only=True)
class ExchangeSetting:
    """`rate_limit`, `delays` or `fill_delay_seconds`."""

    name: str
    value: Any
    breaks = True

    @property
    def text(self) -> str:
        return f"exchange {self.name} = {self.value}"


@dataclass(frozen=True, kw_only=True)
class FeedFault:
    """A fault of one feed, or of all ('*')."""

    kind: str
    feed: str = "*"
    times: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    breaks = True

    @property
    def text(self) -> str:
        more = " ".join(f"{name}={value}" for name, value in self.options.items())
        return short(f"feeds fault {self.kind} of {self.feed} {more}".rstrip())


@dataclass(frozen=True, kw_only=True)
class FeedClear:
    """Takes back the faults of one feed, or of all (None)."""

    feed: str | None = None
    breaks = False

    @property
    def text(self) -> str:
        return f"feeds clear {self.feed or 'all faults'}"


@dataclass(frozen=True, kw_only=True)
class FeedPublish:
    """News that appears; each item as the scenario has it, `published_at` an instant or None for the step's minute."""

    items: tuple[Mapping[str, Any], ...]
    breaks = False

    @property
    def text(self) -> str:
        return short("feeds publish " + "; ".join(str(item["title"]) for item in self.items))


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Parameters to write, by full path; None deletes one."""

    values: Mapping[str, str | None]
    breaks = True

    @property
    def text(self) -> str:
        return short("ssm " + ", ".join(f"{'delete ' if v is None else ''}{name}" for name, v in self.values.items()))


@dataclass(frozen=True, kw_only=True)
class Processes:
    """(verb, name) in the order in which they are done."""

    orders: tuple[tuple[str, str], ...]

    @property
    def breaks(self) -> bool:
        return any(verb != "start" for verb, _ in self.orders)

    @property
    def text(self) -> str:
        return ", ".join(f"{verb} {name}" for verb, name in self.orders)


@dataclass(frozen=True, kw_only=True)
class RegionLost:
    """The region in which all runs is gone; `following` is where what is played goes on."""

    following: str
    breaks = True

    @property
    def text(self) -> str:
        return f"the region is lost; what comes runs in {self.following}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A shell command; `expect_exit` None: any exit code will do. `timeout_seconds` are virtual."""

    command: str
    expect_exit: tuple[int, ...] | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    wait: bool = True
    breaks = False

    @property
    def text(self) -> str:
        return short(f"run {self.command}")


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line for the timeline."""

    note: str
    breaks = False

    @property
    def text(self) -> str:
        return self.note


Action = (
    AwsCall
    | Sql
    | ExchangeFault
    | ExchangeClear
    | ExchangeKeys
    | ExchangeSetting
    | FeedFault
    | FeedClear
    | FeedPublish
    | Parameters
    | Processes
    | RegionLost
    | Command
    | Note
)
