"""What people are told of a healthcheck: what is new, and what is over; each once. Sending it is another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healthcheck.finding import Change, Finding, Open, Severity

SUBJECT_MOST = 100  # SNS takes no more
ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.INFO)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message, the worst first. `opened` and `cleared` are what it speaks of."""

    subject: str
    text: str
    opened: tuple[Finding, ...]
    cleared: tuple[Open, ...]


def notice(change: Change, now: datetime) -> Notice | None:
    """The message that a change is worth; None where nothing began or ended."""
    opened = tuple(sorted(change.opened, key=lambda found: (ORDER.index(found.severity), found.key)))
    if not opened and not change.cleared:
        return None
    lines = [line for found in opened for line in _lines(found)]
    lines += [f"OVER  {row.code} {row.subject}" for row in change.cleared]
    if not change.remembered:
        lines.append("The database cannot be reached: nothing of this is remembered, and it may be told again.")
    return Notice(
        subject=_subject(opened, change.cleared)[:SUBJECT_MOST],
        text="\n".join([f"{now:%Y-%m-%d %H:%M} UTC", "", *lines]),
        opened=opened,
        cleared=change.cleared,
    )


def _subject(opened: Sequence[Finding], cleared: Sequence[Open]) -> str:
    if opened:
        more = f" and {len(opened) - 1} more" if len(opened) > 1 else ""
        return f"{opened[0].severity.upper()}: {opened[0].code} {opened[0].subject}{more}"
    more = f" and {len(cleared) - 1} more" if len(cleared) > 1 else ""
    return f"OVER: {cleared[0].code} {cleared[0].subject}{more}"


def _lines(found: Finding) -> list[str]:
    since = f", since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    return [
        f"{found.severity.upper()}  {found.code} {found.subject}{since}",
        f"  {found.summary}",
        f"  Run: {found.repair}",
        "",
    ]
