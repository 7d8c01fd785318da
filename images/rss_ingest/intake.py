"""What a run makes of its feeds: each one's reading, which of the news is fresh, and the outcome of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.rows import News
from pipeline.task import Outcome, Result
from rss_ingest import entries
from rss_ingest.errors import FeedError
from rss_ingest.feeds import FeedState, Fetched, NotModified
from rss_ingest.feeds import Outcome as Fetch


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One feed in this run. `etag` and `last_modified` are to be kept for the next; `flaw` is what was wrong with a
    document that was read all the same; `error` is set where the feed could not be read."""

    feed: FeedState
    etag: str | None = None
    last_modified: str | None = None
    news: tuple[News, ...] = ()
    dropped: int = 0
    unchanged: bool = False
    flaw: str | None = None
    error: FeedError | None = None


def read(feed: FeedState, fetch: Fetch, now: datetime) -> Reading:
    """The reading that a fetch comes to.

    A document that is not complete leaves no validators: a 304 to them would hide the rest until the feed changes.
    """
    if isinstance(fetch, FeedError):
        return Reading(feed=feed, error=fetch)
    if isinstance(fetch, NotModified):
        return Reading(feed=feed, etag=feed.etag, last_modified=feed.last_modified, unchanged=True)
    try:
        parsed = _parse(feed, fetch, now)
    except FeedError as error:
        return Reading(feed=feed, error=error)
    return Reading(
        feed=feed,
        etag=fetch.etag if parsed.complete else None,
        last_modified=fetch.last_modified if parsed.complete else None,
        news=parsed.entries,
        dropped=parsed.dropped,
        flaw=parsed.bozo,
    )


def _parse(feed: FeedState, fetched: Fetched, now: datetime) -> entries.Parsed:
    return entries.parse(fetched.body, feed=feed.url, url=fetched.url, charset=fetched.charset, fetched_at=now)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What became of the news of all feeds: `fresh` was not stored before, `duplicates` of it tells nothing new."""

    fresh: int
    duplicates: int
    stored: int


def result(readings: Sequence[Reading], intake: Intake) -> Result:
    """The run's result: FAILED if no feed could be read, DEGRADED if some could not, NO_INPUT if all are empty."""
    failed = [reading for reading in readings if reading.error]
    read_now = sum(len(reading.news) for reading in readings)
    unchanged = sum(reading.unchanged for reading in readings)
    return Result(
        outcome=_outcome(len(readings), len(failed), empty=not read_now and not unchanged),
        rows_in=intake.fresh - intake.duplicates,
        rows_out=intake.stored,
        counts={
            "feeds": len(readings),
            "feeds_failed": len(failed),
            "feeds_unchanged": unchanged,
            "feeds_flawed": sum(reading.flaw is not None for reading in readings),
            "entries": read_now,
            "entries_dropped": sum(reading.dropped for reading in readings),
            "entries_undated": sum(news.date_marked is not None for reading in readings for news in reading.news),
            "known": read_now - intake.fresh,
            "near_duplicates": intake.duplicates,
        },
        metrics={"FeedsFailed": len(failed), "NewsStored": intake.stored},
        error="; ".join(str(reading.error) for reading in failed) or None,
        error_code=failed[0].error.code if failed and failed[0].error else None,
    )


def _outcome(feeds: int, failed: int, *, empty: bool) -> Outcome:
    if failed:
        return Outcome.FAILED if failed == feeds else Outcome.DEGRADED
    return Outcome.NO_INPUT if empty else Outcome.OK
