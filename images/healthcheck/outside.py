"""What a healthcheck says and asks beyond its snapshot: topic, page, CloudTrail, a switch that others watch.

None of it may fail a check: what was found is stored and measured already.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime

from healthcheck import census
from healthcheck.aws import Trail, trail
from healthcheck.census import Census
from healthcheck.notice import Notice
from healthcheck.reading import Account
from healthcheck.snapshot import Scope
from pipeline.logs import Log

# The address of a dead man's switch at somebody else's: it tells people when this stops coming.
SWITCH = "DEAD_MANS_SWITCH_URL"
SWITCH_SECONDS = 3.0
PAGE = "status.html"
# CloudTrail answers two calls a second; the findings' own changes are named first.
NAMES_MOST = 8


def publish(where: Account | None, scope: Scope, notice: Notice | None, log: Log) -> bool:
    """Whether people were told; there being nothing to tell or nobody to tell it through, they were not."""
    from botocore.exceptions import BotoCoreError, ClientError

    if where is None or notice is None or scope.place is None:
        return False
    try:
        where.clients("sns").publish(TopicArn=scope.place.topic_arn, Subject=notice.subject, Message=notice.text)
    except (ClientError, BotoCoreError) as error:
        log.error("people could not be told", error=str(error), subject=notice.subject)
        return False
    return True


def show(where: Account, scope: Scope, page: str, log: Log) -> None:
    """Puts the page where people look for it."""
    from botocore.exceptions import BotoCoreError, ClientError

    assert scope.place, "who has an account has a place"
    try:
        where.clients("s3").put_object(
            Bucket=scope.place.records,
            Key=PAGE,
            Body=page.encode(),
            ContentType="text/html; charset=utf-8",
            CacheControl="no-store",
        )
    except (ClientError, BotoCoreError) as error:
        log.error("the status page could not be stored", error=str(error), bucket=scope.place.records)


def keep(where: Account, scope: Scope, counted: Census, log: Log) -> bool:
    """Whether a day's census lies now where a lost database does not take it along."""
    from botocore.exceptions import BotoCoreError, ClientError

    assert scope.place, "who has an account has a place"
    try:
        body = counted.to_json().encode()
        where.clients("s3").put_object(Bucket=scope.place.records, Key=census.key(counted.day), Body=body)
    except (ClientError, BotoCoreError) as error:
        log.error("the census could not be stored", error=str(error), bucket=scope.place.records)
        return False
    return True


def history(where: Account | None, now: datetime, names: Sequence[str]) -> Trail | None:
    """What CloudTrail knows of the events of these names; None where there is none to ask for, or no answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    if where is None or not names:
        return None
    try:
        return trail.read(where.clients, now, names[:NAMES_MOST])
    except (ClientError, BotoCoreError):
        return None


def ping(environment: Mapping[str, str], log: Log) -> None:
    """Holds the switch down, where there is one."""
    address = environment.get(SWITCH)
    if not address:
        return
    try:
        with urllib.request.urlopen(address, timeout=SWITCH_SECONDS):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        log.error("the outside switch could not be reached", error=str(error))
