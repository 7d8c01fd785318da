"""The signs of the states: each has a shape of its own, so that no colour has to be seen to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping

from healthcheck.finding import Severity
from healthcheck.page.markup import Html, join, tag
from healthcheck.page.states import OF_SEVERITY, State

WORDS: Mapping[State, str] = {
    State.OK: "ok",
    State.RESTING: "resting on purpose",
    State.UNKNOWN: "unknown",
    State.WARNING: "warning",
    State.FAULTY: "faulty",
}
# What a terminal and the tab's title can show.
TEXT: Mapping[State, str] = {
    State.OK: "✓",
    State.RESTING: "‖",
    State.UNKNOWN: "?",
    State.WARNING: "!",
    State.FAULTY: "✕",
}
# A disc, a ring, a broken ring, a triangle and an octagon, in a square of 16.
SHAPES: Mapping[State, Html] = {
    State.OK: join(
        [
            tag("circle", cx=8, cy=8, r=7, class_="fill"),
            tag("path", d="M4.6 8.3l2.3 2.4 4.6-5", class_="mark"),
        ]
    ),
    State.RESTING: join(
        [
            tag("circle", cx=8, cy=8, r=6.2, class_="ring"),
            tag("path", d="M6.3 5.4v5.2M9.7 5.4v5.2", class_="ring"),
        ]
    ),
    State.UNKNOWN: join(
        [
            tag("circle", cx=8, cy=8, r=6.4, class_="ring broken"),
            tag("path", d="M6 6.5a2 2 0 1 1 2.6 1.9q-.6.2-.6 1M8 11.3v.4", class_="ring"),
        ]
    ),
    State.WARNING: join(
        [
            tag("path", d="M8 1.2L15.4 14.6H.6z", class_="fill"),
            tag("path", d="M8 6v4M8 12v.4", class_="mark"),
        ]
    ),
    State.FAULTY: join(
        [
            tag("polygon", points="5,.8 11,.8 15.2,5 15.2,11 11,15.2 5,15.2 .8,11 .8,5", class_="fill"),
            tag("path", d="M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4", class_="mark"),
        ]
    ),
}


def definitions() -> Html:
    """What `sign` and `drawn` refer to; once a page."""
    symbols = [
        tag("symbol", shape, id=f"s-{state}", viewBox="0 0 16 16", class_=f"is-{state}")
        for state, shape in SHAPES.items()
    ]
    return tag("svg", *symbols, class_="away", width=0, height=0, aria_hidden="true")


def sign(state: State) -> Html:
    """A sign within text, with its word for those who do not see it."""
    drawing = tag("svg", tag("use", href=f"#s-{state}"), class_="sign", width=16, height=16, aria_hidden="true")
    return join([drawing, tag("span", WORDS[state], class_="spoken")])


def drawn(state: State, x: float, y: float, size: float) -> Html:
    """A sign within a drawing."""
    return tag("use", href=f"#s-{state}", x=f"{x:g}", y=f"{y:g}", width=f"{size:g}", height=f"{size:g}")


def of_severity(severity: Severity) -> State:
    """The sign that a finding has; one that only informs has that of something unfinished."""
    return State.RESTING if severity is Severity.INFO else OF_SEVERITY[severity]
