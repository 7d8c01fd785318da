"""The page as one file: its parts in their order, its style, and the script that tells when it has grown old."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from functools import cache
from pathlib import Path

from healthcheck.page import graphs, sections, signs
from healthcheck.page.markup import Html, tag
from healthcheck.page.picture import picture
from healthcheck.page.states import State
from healthcheck.page.view import View

# Two pages that did not come: the third would be the silence alarm's.
OLD_AFTER = timedelta(minutes=11)


def render(view: View) -> str:
    """The whole document. It loads nothing, and its own policy forbids that anything of it ever does."""
    style, script = _file("page.css"), _file("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{signs.TEXT[view.state]} {view.headline} · {view.project}"),
        tag("link", rel="icon", href="data:,"),
        tag("style", style),
    )
    old_after = int(OLD_AFTER.total_seconds())
    made = {"data_made": view.now.isoformat(), "data_old_after": old_after}
    whole = tag("html", head, tag("body", *_body(view), tag("script", script)), lang="en", **made)
    return f"<!doctype html>\n{whole}\n"


def _body(view: View) -> tuple[Html, ...]:
    return (
        signs.definitions(),
        graphs.definitions(),
        _header(view),
        tag(
            "main",
            tag(
                "div",
                tag("div", _pipeline(view), class_="column"),
                tag(
                    "div",
                    sections.findings(view),
                    sections.ages(view),
                    sections.runs(view),
                    sections.shared(view),
                    class_="column",
                ),
                class_="columns",
            ),
            sections.charts(view),
            tag("div", sections.signals(view), sections.news(view), class_="columns"),
        ),
        tag("footer", "Made by the healthcheck of ", view.project, "; times are UTC."),
    )


def _header(view: View) -> Html:
    where = f"{view.environment}" + (f", account {view.account}" if view.account else "")
    return tag(
        "header",
        tag("p", "", id="old", role="alert", hidden="hidden"),
        tag("h1", signs.sign(view.state), " ", view.headline, class_=f"is-{view.state}"),
        tag(
            "p",
            f"{view.project} ({where}), {view.market}. As of ",
            tag("time", f"{view.now:%Y-%m-%d %H:%M:%S} UTC", datetime=view.now.isoformat()),
            tag("span", "", id="age"),
            ".",
        ),
        tag("noscript", tag("p", "Without scripts this page cannot tell its age: compare that time with your clock.")),
    )


def _pipeline(view: View) -> Html:
    legend = [tag("li", signs.sign(state), f" {signs.WORDS[state]}") for state in State]
    return tag(
        "section",
        tag("h2", "The pipeline", id="picture-title"),
        picture(view),
        tag("ul", *legend, class_="legend", aria_hidden="true"),
        sections.links(view),
        id="pipeline",
        aria_labelledby="picture-title",
    )


def _policy(style: Html, script: Html) -> str:
    """Nothing from anywhere; of style and script just ours, by their digests, so that no foreign text becomes one."""
    sources = f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    return f"default-src 'none'; {sources}; img-src data:; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> Html:
    """A file beside this one; as it stands within an element that escapes nothing, it may hold no < or &."""
    return Html(Path(__file__).with_name(name).read_text(encoding="utf-8"))
