"""Strips of runs and charts of bars as drawings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from healthcheck.page.charts import Chart
from healthcheck.page.markup import Html, cut, tag
from healthcheck.page.strips import Kind, Stretch, Strip

STRIP_WIDTH, STRIP_HEIGHT = 360, 16
CHART_HEIGHT = 80
# Height of a stretch from the bottom: what went well is quiet, what did not stands out.
HEIGHTS = {
    Kind.DONE: 10,
    Kind.IDLE: 5,
    Kind.PARTLY: 13,
    Kind.FAILED: 16,
    Kind.RUNNING: 10,
    Kind.MISSED: 16,
    Kind.RESTED: 3,
}
KIND_WORDS = {
    Kind.DONE: "done",
    Kind.IDLE: "nothing to do",
    Kind.PARTLY: "partly done",
    Kind.FAILED: "failed",
    Kind.RUNNING: "running, or killed",
    Kind.MISSED: "no run",
    Kind.RESTED: "paused",
}
CAUSE_WORDS = {
    "our_outage": "lost by us",
    "feed_late": "late at the provider",
    "rejected": "refused as unsound",
    "no_trade": "no trade",
    "closed": "closed",
    "unexplained": "not looked at yet",
}
HATCHES = ("missed", "failed", "lost", "unexplained", "no_trade")


def definitions() -> Html:
    """The hatches; once a page."""
    patterns = [
        tag(
            "pattern",
            tag("path", d=_hatch(name), class_=f"hatch-{name}"),
            id=f"h-{name}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for name in HATCHES
    ]
    return tag("svg", tag("defs", *patterns), class_="away", width=0, height=0, aria_hidden="true")


def _hatch(name: str) -> str:
    """Lines that fall, rise, cross, or are dots, so that they are told apart without colour."""
    rising, falling = "M-1 7L7 -1M-1 1L1 -1M5 7L7 5", "M-1 -1L7 7M5 -1L7 1M-1 5L1 7"
    return {"missed": rising, "failed": rising + falling, "lost": rising, "unexplained": falling}.get(name, "M1 3h1")


def strip(found: Strip, name: str) -> Html:
    """The last hour of a service."""
    stretches = [_stretch(each, found) for each in found.stretches]
    return tag(
        "svg",
        tag("title", f"{name}: {told(found.stretches)}"),
        tag("path", d=f"M0 {STRIP_HEIGHT - 0.5}H{STRIP_WIDTH}", class_="axis"),
        *stretches,
        class_="strip",
        viewBox=f"0 0 {STRIP_WIDTH} {STRIP_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
    )


def told(stretches: Iterable[Stretch]) -> str:
    """What is not plain good, in words."""
    odd = [
        f"{KIND_WORDS[each.kind]} {each.start:%H:%M} to {each.end:%H:%M} UTC" + (f" ({each.code})" if each.code else "")
        for each in stretches
        if each.kind not in (Kind.DONE, Kind.IDLE)
    ]
    return cut(", ".join(odd), 400) or "every run came and ended well"


def _stretch(each: Stretch, found: Strip) -> Html:
    left, right = _at(each.start, found), _at(each.end, found)
    height = HEIGHTS[each.kind]
    return tag(
        "rect",
        x=f"{left:.1f}",
        y=STRIP_HEIGHT - height,
        width=f"{max(1.5, right - left):.1f}",
        height=height,
        class_=f"run-{each.kind}",
    )


def _at(at: datetime, found: Strip) -> float:
    return max(0.0, (at - found.since) / (found.until - found.since)) * STRIP_WIDTH


def chart(found: Chart) -> Html:
    """A stroke from low to high a minute, the closing prices as a line, what is missing as shades."""
    bars = found.bars
    low, high = min(bars.lows, default=0.0), max(bars.highs, default=1.0)
    span = (high - low) or 1.0
    wide = max(1, found.minutes)

    def y(price: float) -> str:
        return f"{(CHART_HEIGHT - 4) * (high - price) / span + 2:.0f}"

    strokes = "".join(f"M{m} {y(lo)}V{y(hi)}" for m, lo, hi in zip(bars.minutes, bars.lows, bars.highs, strict=True))
    line = "".join(
        f"{'L' if i and bars.minutes[i - 1] == m - 1 else 'M'}{m} {y(close)}"
        for i, (m, close) in enumerate(zip(bars.minutes, bars.closes, strict=True))
    )
    shades = [
        tag(
            "rect",
            tag("title", f"{each.minutes} min {CAUSE_WORDS.get(each.cause, each.cause)}"),
            x=each.first - 0.5,
            y=0,
            width=each.minutes,
            height=CHART_HEIGHT,
            class_=f"gap-{each.cause}",
        )
        for each in found.missing
    ]
    return tag(
        "svg",
        tag("title", f"{found.symbol}: {len(bars.minutes)} bars; {missing(found)}"),
        *shades,
        tag("path", d=strokes, class_="range") if strokes else None,
        tag("path", d=line, class_="close") if line else None,
        class_="chart",
        viewBox=f"-1 0 {wide + 2} {CHART_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
    )


def missing(found: Chart) -> str:
    """The missing minutes by their reason, in words."""
    minutes: dict[str, int] = {}
    for each in found.missing:
        minutes[each.cause] = minutes.get(each.cause, 0) + each.minutes
    return ", ".join(f"{count} min {CAUSE_WORDS.get(cause, cause)}" for cause, count in minutes.items()) or "no gap"
