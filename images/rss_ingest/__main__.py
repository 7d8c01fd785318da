"""Wiring: the feeds of the parameter rss_feeds in, each item of news stored once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil

from psycopg.rows import class_row

from pipeline import task
from pipeline.rows import News
from pipeline.store import Connection, sql
from pipeline.task import Result
from rss_ingest import duplicates, entries, intake
from rss_ingest.duplicates import Headline
from rss_ingest.feeds import FeedState, Limits, fetch_all
from rss_ingest.intake import Intake, Reading

LIMITS = Limits()
WORKERS = 8
# Of the run's 240 s; what is left is for parsing and storing.
FETCH_SECONDS_MAX = 150


def run(context: task.Context) -> Result:
    """Reads every feed within its limits and stores the news, the feeds' states and nothing else, all at once."""
    now, connection = context.now, context.connection
    feeds = _states(connection, context.values.urls("rss_feeds"))
    fetched = fetch_all(feeds, limits=LIMITS, now=now, deadline_seconds=_fetch_seconds(len(feeds)), workers=WORKERS)
    readings = [intake.read(feed, outcome, now) for feed, outcome in fetched]
    _tell(context, readings)
    # Validators and news together: validators alone would turn the news of an interrupted run into a 304 for ever.
    with connection.transaction():
        taken = _store_news(connection, [news for reading in readings for news in reading.news], now)
        _store_states(connection, readings, now)
    return intake.result(readings, taken)


def _fetch_seconds(feeds: int) -> float:
    """Every feed's full time in as many rounds as there must be: one that never ends costs the others one round."""
    return min(FETCH_SECONDS_MAX, ceil(feeds / WORKERS) * LIMITS.total_seconds + 2)


def _states(connection: Connection, urls: Sequence[str]) -> list[FeedState]:
    rows = connection.execute(sql("rss_ingest/feed_states"), {"urls": list(urls)}).fetchall()
    known = {url: (etag, last_modified, failures) for url, etag, last_modified, failures in rows}
    states = []
    for url in urls:
        etag, last_modified, failures = known.get(url, (None, None, 0))
        states.append(FeedState(url=url, etag=etag, last_modified=last_modified, consecutive_failures=failures))
    return states


def _tell(context: task.Context, readings: Sequence[Reading]) -> None:
    for reading in readings:
        if reading.error:
            failures = reading.feed.consecutive_failures + 1
            context.log.warning(
                "feed failed",
                feed=reading.feed.url,
                kind=reading.error.kind,
                error=str(reading.error),
                consecutive_failures=failures,
            )
        elif reading.flaw:
            context.log.warning("feed is flawed", feed=reading.feed.url, flaw=reading.flaw, entries=len(reading.news))


def _store_news(connection: Connection, news: Sequence[News], now: datetime) -> Intake:
    """Stores what is neither stored nor a near-duplicate of what is."""
    fresh = _fresh(connection, news)
    if not fresh:
        return Intake(fresh=0, duplicates=0, stored=0)
    first, last = duplicates.window_of(fresh)
    with connection.cursor(row_factory=class_row(Headline)) as cursor:
        recent = cursor.execute(sql("rss_ingest/headlines"), {"first": first, "last": last, "now": now}).fetchall()
    kept, dropped = duplicates.drop_near_duplicates(fresh, recent)
    columns = ("uid", "feed", "title", "summary", "link", "published_at", "date_marked")
    arrays = {column: [getattr(item, column) for item in kept] for column in columns}
    stored = connection.execute(sql("rss_ingest/insert"), {**arrays, "fetched_at": now}).rowcount
    return Intake(fresh=len(fresh), duplicates=len(dropped), stored=stored)


def _fresh(connection: Connection, news: Sequence[News]) -> list[News]:
    """The news whose uid is not stored, each uid once."""
    known = _stored(connection, news)
    apart = entries.told_apart(news, known)
    known |= _stored(connection, [item for item in apart if item.uid not in known])
    return list({item.uid: item for item in reversed(apart) if item.uid not in known}.values())[::-1]


def _stored(connection: Connection, news: Sequence[News]) -> dict[str, tuple[str, str | None]]:
    rows = connection.execute(sql("rss_ingest/stored"), {"uids": [item.uid for item in news]})
    return {uid: (feed, link) for uid, feed, link in rows}


def _store_states(connection: Connection, readings: Sequence[Reading], now: datetime) -> None:
    for reading in readings:
        row = {
            "feed_url": reading.feed.url,
            "etag": reading.etag,
            "last_modified": reading.last_modified,
            "flaw": reading.flaw,
            "error": str(reading.error),
            "now": now,
        }
        connection.execute(sql("rss_ingest/feed_failed" if reading.error else "rss_ingest/feed_ok"), row)
    urls = [reading.feed.url for reading in readings]
    connection.execute(sql("rss_ingest/forget_feeds"), {"urls": urls, "now": now})


if __name__ == "__main__":
    task.main(run, __package__)
