"""The two market data endpoints: which bars a request may see now, in which pages, in the vendor's JSON.

`/v2/stocks/bars` answers symbol by symbol, bars in time order; `limit` spans all symbols; `next_page_token` is the
vendor's own form, base64 of SYMBOL|M|last time served. A bar exists once its minute is over on the exchange's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from ops.local.exchange.faults import Fault, FaultBook
from ops.local.exchange.market import NEW_YORK, SYMBOL_STRIDE, Floats, Ints, Market, moment, seconds, stamp, whole
from ops.local.exchange.query import (
    LATEST_PARAMETERS,
    SIP_DELAY,
    Query,
    feed_of,
    known,
    midnight,
    no_others,
    parse,
    token_after,
)
from ops.local.exchange.wire import Answer, Request, refusal

BARS_PATH = "/v2/stocks/bars"
# Faults under which a bar does not come, or not as one that can be stored.
WITHHOLDING = ("drop", "late", "corrupt")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Bars about to be served, in serving order: parallel columns, `owner` indexes the market's symbols."""

    owner: Ints
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Ints
    vwap: Floats

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, at: slice | Ints) -> Table:
        return Table(**{name: column[at] for name, column in vars(self).items()})


class MarketData:
    """Serves one market's bars. `delays`: how much later than its minute's end a symbol's bar appears, per symbol."""

    def __init__(self, market: Market, faults: FaultBook, delays: Mapping[str, timedelta] | None = None) -> None:
        self.market = market
        self.faults = faults
        self._ready_after = np.full(len(market.symbols), 60, dtype=np.int64)
        self.delay(delays or {})

    def delay(self, delays: Mapping[str, timedelta]) -> None:
        """How much later than its minute's end a bar of these symbols appears from now on."""
        for symbol, delay in delays.items():
            if symbol in self.market.position:
                self._ready_after[self.market.position[symbol]] = 60 + int(delay.total_seconds())

    # ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────

    def bars(self, request: Request, now: datetime, *, sip: bool) -> Answer:
        """GET /v2/stocks/bars. Raises Refused with the vendor's words on anything that it would not answer."""
        query = parse(request.query, self.market, now, sip=sip)
        live = self.faults.on_bars(request, now)
        table, more = self._page(query, live, now)
        bars = self._encoded(table, query, live, now)
        token = token_after(self.market.symbols[table.owner[-1]], int(table.ts[-1])) if more else None
        for fault in self.faults.hit(("empty", "repeat_token"), request, now):
            if fault.kind == "empty":
                bars, token = ("null" if fault.null else "{}"), (self._before(table, query) if fault.token else None)
            else:
                token = request.query.get("page_token") or self._before(table, query)
        quoted = "null" if token is None else f'"{token}"'
        return Answer(body=f'{{"bars":{bars},"next_page_token":{quoted}}}'.encode())

    def latest(self, request: Request, now: datetime, *, sip: bool) -> Answer:
        """GET /v2/stocks/bars/latest: the newest minute bar of each symbol, unknown symbols left out."""
        no_others(request.query, LATEST_PARAMETERS)
        ids = known(request.query, self.market)
        feed = feed_of(request.query, default="sip" if sip else "iex")
        if feed == "sip" and not sip:
            raise refusal(403, "subscription does not permit querying recent SIP data")
        until = now - SIP_DELAY if feed == "delayed_sip" else now
        query = Query(ids=ids, step_seconds=60, start=0, end=seconds(until), limit=1, descending=True, after=None)
        live = self.faults.on_bars(request, now)
        table = self._corrected(self._take(self._newest(query, live, now)), live, now)
        texts = self._corrupted(_texts(table), table, live)
        named = (f'"{self.market.symbols[owner]}":{text}' for owner, text in zip(table.owner, texts, strict=True))
        return Answer(body=f'{{"bars":{{{",".join(named)}}}}}'.encode())

    def _before(self, table: Table, query: Query) -> str:
        """A token from which the next page is this very page."""
        if not len(table):
            return token_after(self.market.symbols[-1], query.end)
        back = 1 if query.descending else -1
        return token_after(self.market.symbols[table.owner[0]], int(table.ts[0]) + back)

    def newest(self, symbol: str, now: datetime) -> int | None:
        """The row of the newest bar that exists at `now` by the clock alone (faults aside), or None."""
        at = self.market.position.get(symbol)
        if at is None:
            return None
        key = at * SYMBOL_STRIDE + seconds(now) - int(self._ready_after[at])
        row = int(np.searchsorted(self.market.keys, key, side="right")) - 1
        return row if row >= self.market.starts[at] else None

    def served(self, now: datetime) -> Ints:
        """The rows that a reader can have by `now`: they exist, and no lasting fault drops, delays or corrupts them."""
        lasting = [f for f in self.faults.all() if f.kind in WITHHOLDING and f.times is None and f.probability >= 1.0]
        hiding = [f for f in lasting if BARS_PATH.startswith(f.path) and f.method in (None, "GET")]
        ready = self.market.ts + self._ready_after[self.market.keys // SYMBOL_STRIDE]
        return self._seen(np.flatnonzero(ready <= seconds(now)).astype(np.int64), hiding, now)

    # ── selection ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _bounds(self, query: Query, now: datetime) -> tuple[Ints, Ints]:
        """Per symbol the first row and the row past the last of what may be seen; O(symbols × log rows)."""
        ids, first = query.ids, np.full(len(query.ids), query.start, dtype=np.int64)
        last = np.minimum(query.end, seconds(now) - self._ready_after[ids])
        if query.after:
            symbol, ts = query.after
            keep = np.array([self.market.symbols[i] >= symbol for i in ids], dtype=bool)
            ids, first, last = ids[keep], first[keep], last[keep]
            if len(ids) and self.market.symbols[ids[0]] == symbol:
                first[0], last[0] = (
                    (first[0], min(last[0], ts - 1)) if query.descending else (max(first[0], ts + 1), last[0])
                )
        low = np.searchsorted(self.market.keys, ids * SYMBOL_STRIDE + first)
        high = np.searchsorted(self.market.keys, ids * SYMBOL_STRIDE + last, side="right")
        return low, np.maximum(low, high)

    def _page(self, query: Query, live: list[Fault], now: datetime) -> tuple[Table, bool]:
        """At most `limit` bars, and whether more follow."""
        low, high = self._bounds(query, now)
        hiding = [f for f in live if f.kind in ("drop", "late")]
        plain = query.step_seconds == 60 and not hiding
        if plain:
            low, high, more = _cut(low, high, query)
            return self._take(_expand(low, high, descending=query.descending)), more
        rows = self._seen(_expand(low, high, descending=False), hiding, now)
        table = _aggregated(self._take(rows), query.step_seconds) if query.step_seconds > 60 else self._take(rows)
        table = _newest_first(table) if query.descending else table
        return table[slice(0, query.limit)], len(table) > query.limit

    def _newest(self, query: Query, live: list[Fault], now: datetime) -> Ints:
        low, high = self._bounds(query, now)
        hiding = [f for f in live if f.kind in ("drop", "late")]
        if not hiding:
            return high[high > low] - 1
        rows = self._seen(_expand(low, high, descending=False), hiding, now)
        owner = self.market.keys[rows] // SYMBOL_STRIDE
        return rows[np.append(owner[1:] != owner[:-1], True)] if len(rows) else rows

    def _seen(self, rows: Ints, hiding: list[Fault], now: datetime) -> Ints:
        """Rows less those that drop and late faults hide now."""
        for fault in hiding:
            hidden = self._strikes(fault, self._take(rows))
            if fault.kind == "late":
                ready = self.market.ts[rows] + self._ready_after[self.market.keys[rows] // SYMBOL_STRIDE]
                hidden &= ready + int(fault.minutes * 60) > seconds(now)
            if hidden.any():
                self.faults.touched(fault)
                rows = rows[~hidden]
        return rows

    def _take(self, rows: Ints) -> Table:
        m = self.market
        return Table(
            owner=m.keys[rows] // SYMBOL_STRIDE,
            ts=m.ts[rows],
            open=m.open[rows],
            high=m.high[rows],
            low=m.low[rows],
            close=m.close[rows],
            volume=m.volume[rows],
            trade_count=m.trade_count[rows],
            vwap=m.vwap[rows],
        )

    # ── faults on values ─────────────────────────────────────────────────────────────────────────────────────────────

    def _strikes(self, fault: Fault, table: Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        struck = np.ones(len(table), dtype=bool)
        if fault.symbols is not None:
            owners = [self.market.position[s] for s in fault.symbols if s in self.market.position]
            struck &= np.isin(table.owner, np.array(owners, dtype=np.int64))
        if fault.start:
            struck &= table.ts >= seconds(fault.start)
        if fault.end:
            struck &= table.ts < seconds(fault.end)
        return struck

    def _corrected(self, table: Table, live: list[Fault], now: datetime) -> Table:
        for fault in (f for f in live if f.kind == "correct"):
            ready = table.ts + self._ready_after[table.owner]
            struck = self._strikes(fault, table) & (ready + int(fault.minutes * 60) > seconds(now))
            if struck.any():
                self.faults.touched(fault)
                factor = np.where(struck, fault.factor, 1.0)
                prices = ("open", "high", "low", "close", "vwap")
                first = {
                    name: np.where(struck, np.round(getattr(table, name) * factor, 4), getattr(table, name))
                    for name in prices
                }
                table = replace(table, **first, volume=np.where(struck, table.volume // factor, table.volume))
        return table

    def _corrupted(self, texts: list[str], table: Table, live: list[Fault]) -> list[str]:
        for fault in (f for f in live if f.kind == "corrupt"):
            struck = np.flatnonzero(self._strikes(fault, table))
            if len(struck):
                self.faults.touched(fault)
                for at in struck.tolist():
                    texts[at] = _corrupt(fault.how, table[slice(at, at + 1)])
        return texts

    # ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _encoded(self, table: Table, query: Query, live: list[Fault], now: datetime) -> str:
        if query.step_seconds == 60:
            table = self._corrected(table, live, now)
        texts = _texts(table)
        if query.step_seconds == 60:
            texts = self._corrupted(texts, table, live)
        edges = np.flatnonzero(np.diff(table.owner)) + 1
        bounds = [0, *edges.tolist(), len(table)] if len(table) else []
        return (
            "{"
            + ",".join(f'"{self.market.symbols[table.owner[a]]}":[{",".join(texts[a:b])}]' for a, b in pairwise(bounds))
            + "}"
        )


def _texts(table: Table) -> list[str]:
    """One JSON object a bar, keys as the vendor orders them."""
    times = np.datetime_as_string(table.ts.astype("datetime64[s]")).tolist() if len(table) else []
    volumes = list(map(whole, table.volume.tolist()))
    columns = (table.close, table.high, table.low, table.trade_count, table.open)
    return [
        f'{{"c":{c!r},"h":{h!r},"l":{low!r},"n":{n},"o":{o!r},"t":"{t}Z","v":{v},"vw":{vw!r}}}'
        for c, h, low, n, o, t, v, vw in zip(
            *(column.tolist() for column in columns), times, volumes, table.vwap.tolist(), strict=True
        )
    ]


def _corrupt(how: str, bar: Table) -> str:
    """One bar as JSON text, made impossible."""
    values: dict[str, str] = {
        "c": repr(float(bar.close[0])),
        "h": repr(float(bar.high[0])),
        "l": repr(float(bar.low[0])),
        "n": str(int(bar.trade_count[0])),
        "o": repr(float(bar.open[0])),
        "t": f'"{stamp(int(bar.ts[0]))}"',
        "v": str(whole(float(bar.volume[0]))),
        "vw": repr(float(bar.vwap[0])),
    }
    if how == "not_object":
        return "null"
    if how == "missing":
        del values["c"]
    if how == "high_below_low":
        values |= {"h": repr(round(float(bar.low[0]) - 0.01, 4)), "l": repr(round(float(bar.high[0]) + 0.01, 4))}
    values |= {
        "null": {"c": "null"},
        "string": {"c": '"n/a"'},
        "negative": {"l": repr(-float(bar.low[0]))},
        "zero_price": {"o": "0", "h": "0", "l": "0", "c": "0"},
        "negative_volume": {"v": "-1"},
        "nan": {"c": "NaN"},
        "bad_timestamp": {"t": '"yesterday"'},
    }.get(how, {})
    return "{" + ",".join(f'"{k}":{v}' for k, v in values.items()) + "}"


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cut(low: Ints, high: Ints, query: Query) -> tuple[Ints, Ints, bool]:
    """Shorten the ranges so that together they hold at most `limit` rows; whether anything was cut off."""
    ends = np.cumsum(high - low)
    if not len(ends) or ends[-1] <= query.limit:
        return low, high, False
    at = int(np.searchsorted(ends, query.limit))
    low, high = low[: at + 1].copy(), high[: at + 1].copy()
    surplus = int(ends[at]) - query.limit
    if query.descending:
        low[-1] += surplus
    else:
        high[-1] -= surplus
    return low, high, True


def _expand(low: Ints, high: Ints, *, descending: bool) -> Ints:
    """The rows of all ranges, one after the other, each rising or falling."""
    counts = high - low
    offset = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(high - 1, counts) - offset if descending else np.repeat(low, counts) + offset


def _newest_first(table: Table) -> Table:
    return table[np.lexsort((-table.ts, table.owner))]


def _aggregated(table: Table, step: int) -> Table:
    """Bars of `step` seconds from minute bars: hours and minutes from the UTC hour, days from New York's midnight."""
    if not len(table):
        return table
    buckets = _days(table.ts) if step == 86400 else table.ts // step * step
    fresh = np.flatnonzero(np.append(True, (np.diff(table.owner) != 0) | (np.diff(buckets) != 0)))
    last = np.append(fresh[1:], len(table)) - 1
    volume = np.add.reduceat(table.volume, fresh)
    money = np.add.reduceat(table.volume * table.vwap, fresh)
    plain: Floats = np.asarray(np.add.reduceat(table.vwap, fresh) / (last - fresh + 1), dtype=np.float64)
    return Table(
        owner=table.owner[fresh],
        ts=buckets[fresh],
        open=table.open[fresh],
        high=np.maximum.reduceat(table.high, fresh),
        low=np.minimum.reduceat(table.low, fresh),
        close=table.close[last],
        volume=volume,
        trade_count=np.add.reduceat(table.trade_count, fresh),
        vwap=np.where(volume > 0, np.round(money / np.maximum(volume, 1e-9), 6), plain),
    )


def _days(ts: Ints) -> Ints:
    """The epoch seconds of each time's New York midnight."""
    hours, at = np.unique(ts // 3600, return_inverse=True)
    midnights = [seconds(midnight(moment(int(h) * 3600).astimezone(NEW_YORK).date())) for h in hours]
    return np.array(midnights, dtype=np.int64)[at]
