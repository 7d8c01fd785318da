"""Findings open once, last as long as they are seen, clear after two clean checks and never move back in time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from healthcheck import finding
from healthcheck.finding import Finding, Open, Severity
from market_rows import MINUTE, NOW


def fault(subject: str = "bars", *, opens: bool = True) -> Finding:
    return Finding(code="bars_gap", subject=subject, severity=Severity.CRITICAL, summary="…", repair="…", opens=opens)


def row(subject: str = "bars", misses: int = 0, minutes_old: float = 5) -> Open:
    return Open(
        id=1,
        code="bars_gap",
        subject=subject,
        severity=Severity.WARNING,
        last_seen=NOW - minutes_old * MINUTE,
        misses=misses,
    )


def test_a_new_fault_opens_a_finding() -> None:
    change = finding.reconcile([], [fault()], set(), NOW)
    assert change.opened == (fault(),)
    assert change.severities() == [Severity.CRITICAL]


def test_a_fault_seen_again_is_kept_with_its_new_severity() -> None:
    change = finding.reconcile([row()], [fault()], set(), NOW)
    assert change.kept == ((row(), fault()),)
    assert not change.opened
    assert change.severities() == [Severity.CRITICAL]


def test_the_second_clean_check_clears() -> None:
    assert finding.reconcile([row()], [], set(), NOW).missed == (row(),)
    assert finding.reconcile([row(misses=1)], [], set(), NOW).cleared == (row(misses=1),)


def test_what_could_not_be_judged_is_not_gone() -> None:
    change = finding.reconcile([row(misses=1)], [], {"bars_gap"}, NOW)
    assert change.untouched == (row(misses=1),)
    assert not change.cleared


def test_a_row_of_the_future_is_left_alone_and_opens_no_twin() -> None:
    future = row(minutes_old=-5, misses=1)
    assert finding.reconcile([future], [], set(), NOW).untouched == (future,)
    seen = finding.reconcile([future], [fault()], set(), NOW)
    assert (seen.untouched, seen.opened, seen.kept) == ((future,), (), ())


def test_what_is_not_judged_while_closed_is_kept_but_not_opened() -> None:
    assert finding.reconcile([], [fault(opens=False)], set(), NOW).opened == ()
    assert len(finding.reconcile([row()], [fault(opens=False)], set(), NOW).kept) == 1


SUBJECTS = st.sampled_from("abcd")
ROWS = st.dictionaries(SUBJECTS, st.tuples(st.integers(0, 2), st.integers(-5, 5)))


@given(ROWS, st.lists(SUBJECTS), st.booleans())
def test_every_row_has_one_fate_and_every_fault_one_row(
    rows: dict[str, tuple[int, int]], seen: list[str], judged: bool
) -> None:
    listed = [row(subject, misses, age) for subject, (misses, age) in rows.items()]
    change = finding.reconcile(listed, [fault(s) for s in seen], set() if judged else {"bars_gap"}, NOW)
    fates = [*(r for r, _ in change.kept), *change.missed, *change.cleared, *change.untouched]
    assert sorted(r.subject for r in fates) == sorted(rows)
    assert sorted(f.subject for f in change.opened) == sorted(set(seen) - rows.keys())
    assert all(r.last_seen <= NOW + timedelta() for r in (*change.missed, *change.cleared))
