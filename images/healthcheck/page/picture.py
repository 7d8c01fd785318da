"""The pipeline as a drawing: services in the order in which a row meets them, the tables between, who reads what.

A service is a box with the links of its start in a row; what it writes stands below it, each table with a line that
runs down along the left to the boxes of its readers. A service that reads nearly everything gets one line for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from healthcheck.page.markup import Html, cut, escape, tag
from healthcheck.page.signs import WORDS, drawn
from healthcheck.page.states import Standing, State
from healthcheck.page.view import ServiceView, View

WIDTH = 372
LANES_WIDTH = 110  # of all lanes at most
LANE = 13
BOX = 54
PILL = 22
GAP = 7
CHARACTER = 6.3  # of the width of a letter in a pill
SIGN = 14
# What takes its rows from outside, by the table that it writes (as healthcheck.diagnosis.graph has it).
SOURCES = {"bars": "provider", "news": "feeds"}
SOURCE_NAMES = {"provider": "Alpaca", "feeds": "news feeds"}


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where something stands: its left edge, the middle of its height, and its width."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Boxes and pills by name, the line of each table that has one, and the whole height."""

    boxes: Mapping[str, Placed]
    pills: Mapping[str, Placed]
    sources: Mapping[str, Placed]
    lanes: Mapping[str, float]
    left: float
    height: float


def picture(view: View) -> Html:
    """The drawing."""
    plan = _plan(view)
    tables = {each.name: each for each in view.tables}
    sources = {each.name: each for each in view.sources}
    parts = [
        tag("title", f"The pipeline: {len(view.services)} services and {len(view.tables)} tables"),
        tag("desc", "Every state in it stands in the table of links below."),
        *(line for name in plan.lanes for line in _lane(view, plan, tables[name])),
        *_watcher_line(view, plan),
        *(_stub(service, plan) for service in view.services),
        *(_source(sources[name], placed) for name, placed in plan.sources.items()),
        *(_box(service, plan.boxes[service.name]) for service in view.services),
        *(_pill(tables[name], placed) for name, placed in plan.pills.items()),
    ]
    size = f"0 0 {WIDTH} {plan.height:g}"
    return tag("svg", *parts, class_="picture", viewBox=size, role="img", aria_labelledby="picture-title")


def _plan(view: View) -> Plan:
    watchers = {service.name for service in view.services if _reads_everything(service, view)}
    lanes = _lanes(view, watchers)
    left = LANE + (max(lanes.values(), default=0) if lanes else 0) + (LANE if watchers else 0)
    boxes: dict[str, Placed] = {}
    pills: dict[str, Placed] = {}
    sources: dict[str, Placed] = {}
    y = 2.0
    placed: set[str] = set()
    for service in view.services:
        outside = next((SOURCES[table] for table in service.writes if table in SOURCES), None)
        if outside and outside not in sources:
            sources[outside] = Placed(x=left, y=y + PILL / 2, width=_pill_width(SOURCE_NAMES[outside]))
            y += PILL + GAP
        boxes[service.name] = Placed(x=left, y=y + BOX / 2, width=WIDTH - left - 2)
        y += BOX + GAP
        own = [table for table in service.writes if table not in placed]
        placed |= set(own)
        rows = _rows(own, lanes, left)
        for row in rows:
            x = left + 12
            for table in row:
                pills[table] = Placed(x=x, y=y + PILL / 2, width=_pill_width(table))
                x += pills[table].width + 6
            y += PILL + 4
        y += GAP if rows else 0
    return Plan(boxes=boxes, pills=pills, sources=sources, lanes=lanes, left=left, height=y + 2)


def _reads_everything(service: ServiceView, view: View) -> bool:
    return len(service.reads) > 4 and len(service.reads) > len(view.tables) / 2


def _lanes(view: View, watchers: set[str]) -> dict[str, float]:
    """Table → x of its line. Two tables share a line where the one's last reader comes before the other's writer."""
    order = {service.name: i for i, service in enumerate(view.services)}
    spans: list[tuple[int, int, str]] = []
    for table in view.tables:
        writers = [order[each.name] for each in view.services if table.name in each.writes]
        readers = [order[each.name] for each in view.services if table.name in each.reads and each.name not in watchers]
        if readers:
            spans.append((min(writers + readers), max(writers + readers), table.name))
    ends: list[int] = []
    numbers: dict[str, int] = {}
    for first, last, name in sorted(spans):
        free = next((i for i, end in enumerate(ends) if end <= first), len(ends))
        ends[free:] = [last, *ends[free + 1 :]]
        numbers[name] = free
    step = min(LANE, LANES_WIDTH / max(1, len(ends)))
    # the first lane is the one nearest to the boxes
    return {name: LANE / 2 + (len(ends) - number) * step for name, number in numbers.items()}


def _rows(tables: Sequence[str], lanes: Mapping[str, float], left: float) -> list[list[str]]:
    """Pills in rows: one with a line first in its own, the others where there is room."""
    rows = [[table] for table in tables if table in lanes]
    for table in (each for each in tables if each not in lanes):
        room = WIDTH - left - 16
        fitting = (row for row in rows if sum(_pill_width(each) + 6 for each in [*row, table]) <= room)
        row = next(fitting, None)
        if row is None:
            rows.append([table])
        else:
            row.append(table)
    return rows


def _pill_width(name: str) -> float:
    return 30 + CHARACTER * min(len(name), 24)


def _lane(view: View, plan: Plan, table: Standing) -> Iterator[Html]:
    """The line of a table: from its pill to the left, along its lane, and into each reader."""
    pill, x = plan.pills[table.name], plan.lanes[table.name]
    readers = [
        plan.boxes[each.name].y
        for each in view.services
        if table.name in each.reads and not _reads_everything(each, view)
    ]
    ends = [pill.y, *readers]
    trunk = f"M{pill.x:g} {pill.y:g}H{x:g}M{x:g} {min(ends):g}V{max(ends):g}"
    offset = 6 * (list(plan.lanes).index(table.name) % 5 - 2)  # arrows of several tables into one box stand apart
    branches = "".join(f"M{x:g} {y + offset:g}H{plan.left - 1:g}m-4 -3l4 3l-4 3" for y in readers)
    stretched = f"M{x:g} {max(ends):g}V{max(ends) + offset:g}" if offset > 0 else ""
    yield tag("path", d=trunk + stretched + branches, class_=f"lane of-{table.state}")


def _watcher_line(view: View, plan: Plan) -> Iterator[Html]:
    """One line for a service that reads nearly all tables."""
    for service in view.services:
        if _reads_everything(service, view) and plan.pills:
            box = plan.boxes[service.name]
            top = min(each.y for each in plan.pills.values())
            yield tag("path", d=f"M3 {top:g}V{box.y:g}H{plan.left - 1:g}m-4 -3l4 3l-4 3", class_="lane watcher")
            yield tag(
                "text",
                f"{service.name} reads all tables",
                x=plan.left + 2,
                y=f"{box.y - BOX / 2 - 3:g}",
                class_="small watcher-name",
            )


def _stub(service: ServiceView, plan: Plan) -> Html | None:
    """From a box down to what it writes."""
    own = [plan.pills[name] for name in service.writes if name in plan.pills]
    if not own:
        return None
    box = plan.boxes[service.name]
    below = [each for each in own if each.y > box.y]
    if not below:
        return None
    x = box.x + 6
    firsts = {each.y: each for each in below if each.x <= box.x + 12.5}
    turns = "".join(f"M{x:g} {y:g}H{box.x + 12:g}" for y in firsts)
    return tag("path", d=f"M{x:g} {box.y:g}V{max(firsts, default=box.y):g}{turns}", class_="lane writes")


def _source(standing: Standing, placed: Placed) -> Html:
    return _group(
        standing,
        SOURCE_NAMES[standing.name],
        tag("path", d=f"M{placed.x + 20:g} {placed.y + PILL / 2:g}v{GAP - 1}m-3 -4l3 4l3 -4", class_="lane writes"),
        _capsule(placed, SOURCE_NAMES[standing.name], standing, "source"),
    )


def _pill(standing: Standing, placed: Placed) -> Html:
    return _group(standing, f"table {standing.name}", _capsule(placed, standing.name, standing, "pill"))


def _capsule(placed: Placed, name: str, standing: Standing, kind: str) -> Html:
    top = placed.y - PILL / 2
    box = tag(
        "rect",
        x=f"{placed.x:g}",
        y=f"{top:g}",
        width=f"{placed.width:g}",
        height=PILL,
        rx=PILL / 2,
        class_=f"{kind} of-{standing.state}",
    )
    text = tag("text", cut(name, 24), x=f"{placed.x + 22:g}", y=f"{placed.y + 4:g}", class_="table-name")
    return tag("g", box, drawn(standing.state, placed.x + 5, placed.y - SIGN / 2, SIGN), text)


def _box(service: ServiceView, placed: Placed) -> Html:
    """A service: its state, name and rate, and below them its links."""
    top = placed.y - BOX / 2
    frame = tag(
        "rect",
        x=f"{placed.x:g}",
        y=f"{top:g}",
        width=f"{placed.width:g}",
        height=BOX,
        rx=6,
        class_=f"box of-{service.state}",
    )
    links = list(_links(service, placed, top + 26))
    return tag(
        "g",
        tag("title", f"{service.name}, {WORDS[service.state]}: {service.purpose}"),
        frame,
        drawn(service.state, placed.x + 7, top + 6, SIGN),
        tag("text", cut(service.name, 26), x=f"{placed.x + 26:g}", y=f"{top + 17:g}", class_="name"),
        tag(
            "text",
            _rate(service.rate),
            x=f"{placed.x + placed.width - 8:g}",
            y=f"{top + 17:g}",
            class_="small",
            text_anchor="end",
        ),
        *links,
    )


def _rate(rate: str) -> str:
    return "every " + rate.removeprefix("rate(").removesuffix(")").removeprefix("1 ")


def _links(service: ServiceView, placed: Placed, y: float) -> Iterator[Html]:
    step = (placed.width - 10) / max(1, len(service.links))
    middle = placed.x + 5 + step / 2
    yield tag(
        "path",
        d=f"M{middle:g} {y + 6:g}H{middle + step * (len(service.links) - 1):g}",
        class_="chain",
    )
    for i, link in enumerate(service.links):
        x = middle + i * step
        yield _group(
            link,
            f"{service.name}: {link.name}",
            drawn(link.state, x - 6, y, 12),
            tag("text", SHORT.get(link.name, link.name), x=f"{x:g}", y=f"{y + 22:g}", class_="link-name"),
        )


SHORT = {"parameters": "params"}


def _group(standing: Standing, name: str, *parts: Html) -> Html:
    """Parts with a title that says what is not ok; what is ok needs no words of its own."""
    if standing.state is State.OK:
        return tag("g", *parts)
    why = cut("; ".join(standing.why), 300)
    return tag("g", Html(f"<title>{escape(f'{name}: {WORDS[standing.state]}. {why}')}</title>"), *parts)
