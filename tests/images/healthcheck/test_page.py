"""The status page: everything is on it, nothing foreign becomes markup, and what was not seen is never green."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from health_evidence import NOW, healthy
from healthcheck import checks, page
from healthcheck.diagnosis.diagnose import diagnose
from healthcheck.page.recent import Headline, LastNews
from healthcheck.page.states import State
from healthcheck.snapshot import Snapshot, Symbols, Unreadable
from pipeline import catalog

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u202e'
VOID = {"meta", "link", "br", "use", "rect", "path", "line", "circle", "polygon"}


def view_of(snapshot: Snapshot) -> page.View:
    report = checks.evaluate(snapshot)
    return page.build(snapshot, report, diagnose(snapshot, report, None))


class Balanced(HTMLParser):
    """Fails where an element is closed that is not the innermost open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)


def parsed(text: str) -> Balanced:
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_every_service_and_table_is_on_it_and_it_loads_nothing() -> None:
    text = page.render(view_of(healthy()))
    parsed(text)
    for service in catalog.load():
        assert all(f">{name}<" in text for name in (service.name, *service.writes))
    assert re.findall(r"""(?:src|href)=["'](?!#|data:,)""", text) == []
    assert re.findall(r"url\((?!#)|@import", text) == []
    assert "default-src 'none'" in text.replace("&#x27;", "'")


def test_foreign_text_stays_text() -> None:
    snapshot = healthy()
    news = LastNews(headlines=(Headline(published_at=NOW, title=HOSTILE, label=None, tickers=(HOSTILE,)),))
    seen = parsed(page.render(view_of(replace(snapshot, parts={**snapshot.parts, LastNews: news})))).seen
    assert seen.count("script") == 1
    assert "img" not in seen


@pytest.mark.parametrize("kind", list(healthy().parts))
def test_what_could_not_be_read_is_never_green(kind: type) -> None:
    snapshot = healthy()
    blind = Unreadable(reason="permission denied", code=None)
    seen = view_of(replace(snapshot, parts={**snapshot.parts, kind: blind}))
    assert seen.state is not State.OK
    assert "well" not in seen.headline
    assert "permission denied" in page.render(seen)


def test_bars_that_were_not_read_are_unknown() -> None:
    snapshot = healthy()
    seen = view_of(replace(snapshot, parts={**snapshot.parts, Symbols: Unreadable(reason="lock timeout", code=None)}))
    assert seen.table("bars").state is State.UNKNOWN
    assert "lock timeout" in seen.table("bars").why[0]


def test_a_page_is_small_enough_for_a_phone() -> None:
    assert len(page.render(view_of(healthy())).encode()) < 200_000


def test_what_many_checks_could_not_read_is_told_once_with_the_questions_left_open() -> None:
    snapshot = healthy()
    blind = Unreadable(reason="permission denied", code=None)
    seen = view_of(replace(snapshot, parts=dict.fromkeys(snapshot.parts, blind)))
    [unread] = seen.unread
    assert seen.roots == ()
    assert unread.reason == "permission denied"
    assert {each.subject for each in unread.open} == {check.name for check in checks.due(snapshot) if check.needs}
    findings = page.render(seen).partition('id="findings"')[2].partition("</section>")[0]
    assert findings.count("permission denied") == 1
    assert all(f">{each.subject}<" in findings for each in unread.open)
