"""What scripts/status prints: every service, the state of each link, what is wrong and what to type."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from health_evidence import healthy
from healthcheck import checks, page
from healthcheck.diagnosis.diagnose import diagnose
from healthcheck.page.signs import TEXT
from healthcheck.page.states import State
from healthcheck.snapshot import Snapshot, Symbols, Unreadable
from ops import status_view
from pipeline import catalog


def printed(snapshot: Snapshot, width: int = 80) -> str:
    report = checks.evaluate(snapshot)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(status_view.shown(page.build(snapshot, report, diagnose(snapshot, report, None))))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_every_service_stands_in_a_line_of_eighty_columns_with_its_links() -> None:
    lines = printed(healthy()).splitlines()
    for service in catalog.load():
        (line,) = [each for each in lines if f" {service.name} " in each]
        assert "…" not in line
        assert sum(line.count(sign) for sign in TEXT.values()) >= 8
    assert all(head in "\n".join(lines) for head in status_view.HEADS.values())


def test_what_could_not_be_read_is_unknown_and_says_why() -> None:
    snapshot = healthy()
    blind = Unreadable(reason="lock timeout", code="db_locked")
    text = printed(replace(snapshot, parts={**snapshot.parts, Symbols: blind}), width=200)
    assert "All is well" not in text
    assert f"{TEXT[State.UNKNOWN]} bars " in text
    assert "lock timeout" in text
