"""Dead letters are a fault while they come, and history once the service has run again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from fault_cases import silent
from health_evidence import CATALOG, healthy
from healthcheck.aws.letters import GivenUp, Letter, Letters
from healthcheck.checks import undelivered
from healthcheck.place import Place
from healthcheck.snapshot import Snapshot
from market_rows import MINUTE, NOW

DISPATCHER = "dispatcher"
GROUP = "arn:aws:scheduler:us-west-2:123456789012:schedule/dispatcher/ops-pipeline-dispatcher"


def letter(sent_at: datetime) -> Letter:
    words = {"error_code": "ECS.ClusterNotFoundException", "error_message": "Cluster not found."}
    return Letter(id=str(sent_at), sent_at=sent_at, schedule_arn=GROUP, target_arn="", **words)


def with_letters(snapshot: Snapshot, *sent_at: datetime, counted_at: datetime | None = None) -> Snapshot:
    """The snapshot with those letters, and as many counted by the scheduler in that minute."""
    lately = {DISPATCHER: GivenUp(count=3, newest=counted_at)} if counted_at else {}
    seen = tuple(letter(at) for at in sorted(sent_at, reverse=True))
    part = Letters(queue="ops-pipeline-dead-letters", address="", count=len(seen), seen=seen, lately=lately)
    return replace(snapshot, parts={**snapshot.parts, Letters: part})


def subjects(snapshot: Snapshot) -> list[str]:
    return [finding.subject for finding in undelivered.letters_recent(snapshot)]


def test_letters_of_a_service_that_has_not_run_since_are_a_finding() -> None:
    quiet = silent(DISPATCHER)(healthy())
    assert subjects(with_letters(quiet, NOW - 5 * MINUTE)) == [DISPATCHER]
    assert subjects(with_letters(quiet, counted_at=NOW - 5 * MINUTE)) == [DISPATCHER]


def test_letters_of_a_service_that_has_run_since_are_over() -> None:
    assert subjects(with_letters(healthy(), NOW - 5 * MINUTE, NOW - 4 * MINUTE, counted_at=NOW - 4 * MINUTE)) == []


def test_a_letter_that_came_after_the_last_run_is_a_finding_though_older_ones_are_over() -> None:
    assert subjects(with_letters(healthy(), NOW - 5 * MINUTE, NOW)) == [DISPATCHER]


def test_the_schedulers_own_count_tells_of_letters_that_the_queue_does_not_show() -> None:
    assert subjects(with_letters(healthy(), NOW - 5 * MINUTE, counted_at=NOW)) == [DISPATCHER]


def test_letters_of_nobody_known_stay_a_finding_for_a_quarter_of_an_hour() -> None:
    place = Place.of(CATALOG, "arn:aws:sts:us-west-2:123456789012:")
    snapshot = with_letters(replace(healthy(), scope=replace(healthy().scope, place=place)))
    stray = replace(letter(NOW - 5 * MINUTE), schedule_arn=GROUP.replace("dispatcher", "stranger"))
    part = replace(snapshot.part(Letters), seen=(stray,))
    later = replace(snapshot, parts={**snapshot.parts, Letters: part})
    assert subjects(later) == ["ops-pipeline-dead-letters"]
