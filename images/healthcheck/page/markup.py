"""HTML that cannot be spoilt: whatever is no markup of ours is escaped where it is put in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

# What XML 1.0 has no way to say, and lone surrogates, which UTF-8 has none for.
UNSAYABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Signs that turn the direction of what follows: a foreign text could make ours read otherwise.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
ALONE = frozenset({"meta", "link", "br", "use", "rect", "path", "line", "circle", "polygon"})
NOTHING = "–"


class Html(str):
    """Markup; a plain string is text."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Foreign text as markup, in content and in attributes."""
    said = TURNING.sub("", UNSAYABLE.sub("\ufffd", str(text)))
    return Html(html.escape(said, quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. Children that are no Html are escaped, None and False leave out; `class_` is class, `_` is `-`."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in ALONE and not children:
        return Html(f"<{name}{said}/>")
    return Html(f"<{name}{said}>{join(children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Html:
    """Markup of several parts; None leaves out."""
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts if part is not None))


def cut(text: str, most: int) -> str:
    """The text, shortened to `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def clock(at: datetime | None, now: datetime) -> Html:
    """A time, with its date where that is not today's."""
    if at is None:
        return Html(NOTHING)
    shown = f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"
    return tag("time", shown, datetime=at.isoformat(), title=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def age(span: timedelta) -> str:
    """A span in words, to the precision that matters."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return f"{max(0, minutes)} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
