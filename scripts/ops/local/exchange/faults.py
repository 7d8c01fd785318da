"""Everything that can go wrong at the exchange on request: a fault says what, to which requests or bars, how often."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import count
from threading import Lock
from typing import Any

from ops.local.exchange.wire import Request
from pipeline.errors import PipelineError

TRANSPORT = ("status", "refuse_keys", "latency", "hang", "reset", "truncate")
PAGES = ("empty", "repeat_token")
BARS = ("drop", "late", "correct", "corrupt")
KINDS = (*TRANSPORT, *PAGES, *BARS)

CORRUPTIONS = (
    "high_below_low",
    "null",
    "string",
    "negative",
    "zero_price",
    "negative_volume",
    "nan",
    "missing",
    "bad_timestamp",
    "not_object",
)

_numbers = count(1)


class UnknownFault(PipelineError):
    """A fault that the exchange cannot act: the message says what it can."""


@dataclass(kw_only=True)
class Fault:
    """One fault. The constructors below this class name the useful combinations.

    Matcher: `path` prefix, `method`, `symbols` (any of the request's; for bars: of the bar), [`start`, `end`): for bar
    faults the bar's own time, for the others the exchange's clock. `times` answers are hit (None: forever), each with
    `probability`. `after`: the request first takes effect, then its answer is spoilt (an order accepted, unheard).
    """

    kind: str
    path: str = "/v2/"
    method: str | None = None
    symbols: frozenset[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    times: int | None = None
    probability: float = 1.0
    after: bool = False
    status: int = 500
    body: str | None = None
    html: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    reset_seconds: float | None = None
    seconds: float = 0.0
    fraction: float = 0.5
    honest: bool = True
    null: bool = False
    token: bool = False
    minutes: float = 0.0
    factor: float = 1.01
    how: str = "high_below_low"
    id: str = field(default_factory=lambda: f"fault-{next(_numbers)}")
    applied: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownFault(f"no fault of kind {self.kind!r}; there are {', '.join(KINDS)}")
        if self.kind == "corrupt" and self.how not in CORRUPTIONS:
            raise UnknownFault(f"cannot corrupt by {self.how!r}; there are {', '.join(CORRUPTIONS)}")
        if self.symbols is not None:
            self.symbols = frozenset(self.symbols)

    def spent(self) -> bool:
        return self.times is not None and self.applied >= self.times

    def concerns(self, request: Request, now: datetime) -> bool:
        """Whether a request matches (for bar faults the clock is not asked: their range is the bars')."""
        if not request.path.startswith(self.path) or (self.method and self.method != request.method):
            return False
        if self.kind in BARS:
            return True
        if (self.start and now < self.start) or (self.end and now >= self.end):
            return False
        return self.symbols is None or bool(self.symbols & request.symbols())


def status(code: int, *, body: str | None = None, html: bool = False, **matcher: Any) -> Fault:
    """A status; `html`: a gateway page; `reset_seconds`: X-RateLimit-Reset that far off (else no such header)."""
    return Fault(kind="status", status=code, body=body, html=html, **matcher)


def refuse_keys(probability: float = 1.0, **matcher: Any) -> Fault:
    """Good keys are refused with the API's own 401, each time with that probability."""
    return Fault(kind="refuse_keys", probability=probability, **matcher)


def latency(seconds: float, **matcher: Any) -> Fault:
    """The answer comes that much later (real time)."""
    return Fault(kind="latency", seconds=seconds, **matcher)


def hang(seconds: float = 3600.0, **matcher: Any) -> Fault:
    """The request is read and never answered; the connection closes after `seconds` or when the exchange stops."""
    return Fault(kind="hang", seconds=seconds, **matcher)


def reset(**matcher: Any) -> Fault:
    """The connection is reset (RST) instead of an answer."""
    return Fault(kind="reset", **matcher)


def truncate(fraction: float = 0.5, *, honest: bool = True, **matcher: Any) -> Fault:
    """Only that fraction of the body is sent; `honest`: Content-Length agrees with it, else it promises the whole."""
    return Fault(kind="truncate", fraction=fraction, honest=honest, **matcher)


def empty(*, null: bool = False, token: bool = False, **matcher: Any) -> Fault:
    """A page without bars: {} or null; with a next_page_token the bars come after it, without it they look absent."""
    return Fault(kind="empty", null=null, token=token, **matcher)


def repeat_token(**matcher: Any) -> Fault:
    """A page says next_page_token = the token it was asked with (its first row's own on the first page): a loop."""
    return Fault(kind="repeat_token", **matcher)


def drop(**matcher: Any) -> Fault:
    """Bars that are never delivered."""
    return Fault(kind="drop", **matcher)


def late(minutes: float, **matcher: Any) -> Fault:
    """Bars that are delivered that many minutes after they should."""
    return Fault(kind="late", minutes=minutes, **matcher)


def correct(minutes: float, *, factor: float = 1.01, **matcher: Any) -> Fault:
    """Bars whose prices are first served times `factor` (volume divided by it), and right `minutes` after delivery."""
    return Fault(kind="correct", minutes=minutes, factor=factor, **matcher)


def corrupt(how: str = "high_below_low", **matcher: Any) -> Fault:
    """Bars that cannot be: see CORRUPTIONS."""
    return Fault(kind="corrupt", how=how, **matcher)


class FaultBook:
    """The faults in force, in the order they were added."""

    def __init__(self, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._dice = random.Random(seed)
        self._lock = Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault | str) -> bool:
        """Take one back, by itself or its id. False where it was not there."""
        wanted = fault if isinstance(fault, str) else fault.id
        with self._lock:
            before = len(self._faults)
            self._faults = [f for f in self._faults if f.id != wanted]
            return len(self._faults) < before

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def hit(self, kinds: Iterable[str], request: Request, now: datetime) -> list[Fault]:
        """The faults of these kinds that strike this request, counted as applied."""
        with self._lock:
            struck = [
                f
                for f in self._faults
                if f.kind in kinds and not f.spent() and f.concerns(request, now) and self._falls(f)
            ]
            for fault in struck:
                fault.applied += 1
        return struck

    def on_bars(self, request: Request, now: datetime) -> list[Fault]:
        """Bar faults that may touch an answer; the caller reports by `touched` which of them did."""
        with self._lock:
            live = [f for f in self._faults if f.kind in BARS and not f.spent() and f.concerns(request, now)]
            return [f for f in live if self._falls(f)]

    def touched(self, fault: Fault) -> None:
        with self._lock:
            fault.applied += 1

    def _falls(self, fault: Fault) -> bool:
        return fault.probability >= 1.0 or self._dice.random() < fault.probability


def from_json(wanted: Mapping[str, Any]) -> Fault:
    """A fault from an admin request. Raises UnknownFault on an unknown field or value."""
    known = {f.name for f in fields(Fault)} - {"id", "applied"}
    unknown = sorted(set(wanted) - known)
    if unknown or "kind" not in wanted:
        raise UnknownFault(f"unknown fields {unknown}; a fault has kind and any of {', '.join(sorted(known))}")
    values = dict(wanted)
    for name in ("start", "end"):
        if values.get(name):
            ts = datetime.fromisoformat(values[name])
            values[name] = ts if ts.tzinfo else ts.replace(tzinfo=UTC)
    if values.get("symbols") is not None:
        values["symbols"] = frozenset(values["symbols"])
    return Fault(**values)


def to_json(fault: Fault) -> dict[str, Any]:
    """A fault as the admin endpoint lists it."""
    shown = {f.name: getattr(fault, f.name) for f in fields(Fault)}
    shown["symbols"] = sorted(fault.symbols) if fault.symbols is not None else None
    for name in ("start", "end"):
        shown[name] = shown[name].isoformat() if shown[name] else None
    return shown
