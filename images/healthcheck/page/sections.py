"""The page's parts beside the drawing: findings, links, newness, runs, signals, news and charts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from healthcheck.diagnosis.shape import plain
from healthcheck.page import graphs, signs
from healthcheck.page.charts import Chart
from healthcheck.page.graphs import KIND_WORDS
from healthcheck.page.markup import NOTHING, Html, age, clock, cut, join, tag
from healthcheck.page.recent import ShownSignal
from healthcheck.page.states import Standing, State
from healthcheck.page.strips import Kind
from healthcheck.page.view import FindingView, Lacking, ServiceView, Unread, View

SHOWN_FINDINGS = 60
SHOWN_OVER = 10
SHOWN_INNOCENT = 12
LONG = 600
EVIDENCE_LONG = 2000


def findings(view: View) -> Html:
    """Root causes with what they explain, then what nobody can tell."""
    roots, unread = view.roots, view.unread
    shown = [_finding(each, view) for each in roots[:SHOWN_FINDINGS]]
    shown += [_unread(each, view) for each in unread[:SHOWN_FINDINGS]]
    more = f"and {len(roots) - SHOWN_FINDINGS} more; run scripts/diagnose" if len(roots) > SHOWN_FINDINGS else None
    empty = _nothing_found(view) if not shown else None
    return _section(
        "findings",
        "What is wrong" if roots else "What could not be seen" if unread else "Findings",
        empty,
        tag("ol", *shown, class_="findings") if shown else None,
        tag("p", more, class_="quiet") if more else None,
        _innocent(view),
        _over(view),
    )


def _nothing_found(view: View) -> Html:
    """No finding is good news only where everything was looked at."""
    if view.state is State.OK:
        return tag("p", signs.sign(State.OK), " Every check was judged, and none found anything.")
    return tag("p", signs.sign(State.UNKNOWN), " Nothing was found, but not everything was looked at.")


def _finding(found: FindingView, view: View) -> Html:
    effects = [each for each in view.findings if found.name in each.causes]
    return tag(
        "li",
        tag(
            "h3",
            signs.sign(signs.of_severity(found.severity)),
            " ",
            tag("code", found.code),
            " ",
            tag("bdi", cut(found.subject, 120)),
        ),
        _begun(found, view),
        tag("p", cut(found.summary, LONG)),
        _command(found.repair),
        _effects(effects) if effects else None,
        _evidence(found.evidence),
        class_=f"finding is-{signs.of_severity(found.severity)}",
    )


def _begun(found: FindingView, view: View) -> Html:
    since = found.since or found.first_seen
    return tag(
        "p",
        "since " if found.since else "first seen " if since else "new at ",
        clock(since or view.now, view.now),
        f", {age(view.now - since)} ago" if since else None,
        None if found.seen else "; not seen this time, open until it is missed twice or can be judged",
        class_="quiet",
    )


def _unread(unread: Unread, view: View) -> Html:
    items = [
        tag(
            "li",
            tag("code", each.code),
            " ",
            tag("bdi", each.subject),
            ": ",
            cut(each.summary.partition("?")[0], 200),
            "?",
        )
        for each in unread.open[:SHOWN_FINDINGS]
    ]
    count = len(unread.open)
    left = f"{count} question{'' if count == 1 else 's'} left open"
    oldest = min(unread.open, key=lambda each: each.since or each.first_seen or view.now)
    return tag(
        "li",
        tag("h3", signs.sign(State.UNKNOWN), " could not read: ", tag("bdi", cut(", ".join(unread.parts), 120))),
        _begun(oldest, view),
        tag("p", cut(unread.reason, LONG)),
        _command(oldest.repair),
        tag("details", tag("summary", left), tag("ul", *items)),
        class_=f"finding is-{State.UNKNOWN}",
    )


def _command(command: str) -> Html:
    return tag("div", tag("code", cut(command, LONG), class_="command"), class_="copyable")


def _effects(effects: list[FindingView]) -> Html:
    items = [
        tag("li", tag("code", each.code), " ", tag("bdi", cut(each.subject, 120)), ": ", cut(each.summary, 200))
        for each in effects[:SHOWN_FINDINGS]
    ]
    count = f"{len(effects)} consequence{'' if len(effects) == 1 else 's'}"
    return tag("details", tag("summary", count), tag("ul", *items))


def _evidence(evidence: Mapping[str, Any]) -> Html | None:
    known = {key: value for key, value in evidence.items() if value not in (None, "", [], {}, ())}
    if not known:
        return None
    text = json.dumps(plain(known), indent=1, ensure_ascii=False)
    return tag("details", tag("summary", "Evidence"), tag("pre", cut(text, EVIDENCE_LONG)))


def _innocent(view: View) -> Html | None:
    if not view.innocent:
        return None
    items = [
        tag("li", tag("code", each.code), " ", tag("bdi", cut(each.subject, 120)), ": ", cut(each.evidence, 200))
        for each in view.innocent[:SHOWN_INNOCENT]
    ]
    words = f"{len(view.innocent)} suspected, and not to blame"
    return tag("details", tag("summary", words), tag("ul", *items))


def _over(view: View) -> Html | None:
    if not view.over:
        return None
    items = [
        tag(
            "li",
            clock(each.cleared_at, view.now),
            " ",
            tag("code", each.code),
            " ",
            tag("bdi", cut(each.subject, 120)),
        )
        for each in view.over[:SHOWN_OVER]
    ]
    return tag("details", tag("summary", f"{len(view.over)} over since a day"), tag("ul", *items))


def links(view: View) -> Html:
    """The drawing's states as a table: every link in words."""
    names = list(dict.fromkeys(link.name for service in view.services for link in service.links))
    head = tag("tr", tag("th", "service", scope="col"), *(tag("th", name, scope="col") for name in names))
    rows = [tag("tr", tag("th", tag("code", each.name), scope="row"), *_cells(each, names)) for each in view.services]
    tables = [
        tag("li", signs.sign(each.state), " ", tag("code", each.name), _why(each))
        for each in (*view.tables, *view.sources)
    ]
    return tag(
        "details",
        tag("summary", "Every link, table and source in words"),
        tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide", tabindex="0"),
        tag("ul", *tables, class_="plain"),
        id="links",
    )


def _cells(service: ServiceView, names: Iterable[str]) -> Iterator[Html]:
    own = {link.name: link for link in service.links}
    for name in names:
        link = own.get(name)
        if link is None:
            yield tag("td", NOTHING, title="a function has none")
        else:
            yield tag("td", signs.sign(link.state), title=cut("; ".join(link.why), 300) or None)


def _why(standing: Standing) -> Html | None:
    return tag("span", ": ", cut("; ".join(standing.why), 240), class_="quiet") if standing.why else None


def shared(view: View) -> Html:
    """What all services share, and what could not be read."""
    items = [tag("li", signs.sign(each.state), f" {each.name}", _why(each)) for each in view.shared]
    parts = [tag("li", tag("code", name), ": ", cut(reason, 300)) for name, reason in view.lacking.items()]
    blind = tag("details", tag("summary", f"{len(parts)} parts could not be read"), tag("ul", *parts), open="open")
    return _section(
        "shared", "Shared by all services", tag("ul", *items, class_="plain"), blind if view.lacking else None
    )


def ages(view: View) -> Html:
    """How new the rows of each table are."""
    rows = [
        tag(
            "tr",
            tag("th", signs.sign(each.state), " ", tag("code", each.table), scope="row"),
            tag("td", clock(each.newest, view.now)),
            tag("td", each.told),
        )
        for each in view.ages
    ]
    return _section("newness", "How new the rows are", _table(["table", "newest, UTC", ""], rows))


def runs(view: View) -> Html:
    """A strip a service."""
    rows = [_strip_row(each, view.now) for each in view.services]
    legend = [tag("li", tag("span", class_=f"swatch run-{kind}"), f" {KIND_WORDS[kind]}") for kind in Kind]
    return _section(
        "runs",
        "Runs of the last hour",
        tag("div", *rows, class_="strips"),
        tag("ul", *legend, class_="legend"),
    )


def _strip_row(service: ServiceView, now: datetime) -> Html:
    strip = service.strip
    if isinstance(strip, Lacking):
        drawing = tag("span", signs.sign(State.UNKNOWN), f" unknown: {cut(strip.reason, 160)}", class_="quiet")
        return tag("div", tag("code", service.name), drawing, class_="strip-row")
    told = f"{strip.runs} runs" if strip.last else "no run"
    last = tag("span", told, ", last ", clock(strip.last.started_at, now)) if strip.last else tag("span", told)
    return tag("div", tag("code", service.name), graphs.strip(strip, service.name), last, class_="strip-row")


def signals(view: View) -> Html:
    """The newest signals and what became of each."""
    if isinstance(view.signals, Lacking):
        return _section("signals", "Last signals and dispatches", _unknown(view.signals))
    rows = [
        tag(
            "tr",
            tag("td", clock(each.created_at, view.now)),
            tag("th", cut(each.symbol, 12), scope="row"),
            tag("td", cut(each.side, 8)),
            tag("td", f"{each.confidence:.2f}"),
            tag("td", *_dispatch(each, view.now)),
        )
        for each in view.signals
    ]
    table = _table(["raised, UTC", "symbol", "side", "confidence", "dispatch"], rows)
    return _section("signals", "Last signals and dispatches", table if rows else tag("p", "No signal yet."))


def _dispatch(signal: ShownSignal, now: datetime) -> Iterator[object]:
    if signal.state is None:
        yield "not taken"
        return
    yield f"{signal.state.lower()} "
    yield clock(signal.dispatched_at, now)
    if signal.fill_price is not None and signal.quantity is not None:
        yield f", {signal.quantity:g} at {signal.fill_price:.2f}"
    if signal.failed_gates:
        yield f": {', '.join(signal.failed_gates)}"


def news(view: View) -> Html:
    """The newest headlines and what the classifier made of them."""
    if isinstance(view.news, Lacking):
        return _section("news", "Last news", _unknown(view.news))
    rows = [
        tag(
            "tr",
            tag("td", clock(each.published_at, view.now)),
            tag("td", tag("bdi", cut(each.title, 140))),
            tag("td", each.label or "not classified yet"),
            tag("td", ", ".join(each.tickers[:6])),
        )
        for each in view.news
    ]
    table = _table(["published, UTC", "title", "label", "symbols"], rows)
    return _section("news", "Last news", table if rows else tag("p", "No news yet."))


def charts(view: View) -> Html:
    """A chart a symbol, with its gaps."""
    if isinstance(view.charts, Lacking):
        return _section("bars", "Bars", _unknown(view.charts))
    left_out = f"{view.charts_left_out} more symbols are not drawn" if view.charts_left_out else None
    legend = [
        tag("li", tag("span", class_=f"swatch gap-{cause}"), f" {words}")
        for cause, words in graphs.CAUSE_WORDS.items()
        if cause != "closed"
    ]
    day = f" of {view.charts[0].opens:%Y-%m-%d}" if view.charts else ""
    return _section(
        "bars",
        f"Bars{day}",
        tag("div", *(_chart(each, view.now) for each in view.charts), class_="charts"),
        tag("p", left_out, class_="quiet") if left_out else None,
        tag("ul", *legend, class_="legend") if view.charts else tag("p", "No symbol is followed, or none is known."),
    )


def _chart(found: Chart, now: datetime) -> Html:
    closes = found.bars.closes
    late = "unknown" if found.late is None else f"{found.late} session min ago" if found.late else "nothing is due"
    return tag(
        "figure",
        tag(
            "figcaption",
            signs.sign(found.state),
            " ",
            tag("strong", cut(found.symbol, 12)),
            f" {closes[-1]:.2f}" if closes else " no bar",
            tag("span", " at ", clock(found.newest, now), f", {late}", class_="quiet") if found.newest else None,
        ),
        graphs.chart(found),
        tag(
            "p",
            clock(found.opens, now),
            f" to {found.until:%H:%M} UTC; {graphs.missing(found)}; features ",
            clock(found.newest_features, now),
            class_="quiet",
        ),
    )


def _table(heads: Iterable[str], rows: Iterable[Html]) -> Html:
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide", tabindex="0")


def _unknown(lacking: Lacking) -> Html:
    return tag("p", signs.sign(State.UNKNOWN), f" unknown: {cut(lacking.reason, 300)}")


def _section(name: str, title: str, *parts: Html | None) -> Html:
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, join(parts), id=name, aria_labelledby=f"{name}-title")
