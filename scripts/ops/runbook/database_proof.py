"""What tells that a database is the right one and can be used: the census of each day, every service's login."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from botocore.exceptions import ClientError

from healthcheck import census
from healthcheck.census import Census
from ops.runbook import account, account_database, stored
from ops.runbook.account_database import Instance
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline.store import logins
from pipeline.task import ADDRESS

DAYS = 14  # the newest that were counted
SHOWN = 5


def recorded(look: Look, before: datetime) -> Iterator[Census]:
    """The newest days' censuses that were over by then, the newest first."""
    s3, bucket = look.client("s3"), account.records_bucket(look)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{census.FOLDER}/")
        keys = sorted((each["Key"] for page in pages for each in page.get("Contents", [])), reverse=True)
    except ClientError as error:
        raise Refused(f"the censuses in {bucket} cannot be read: {error}") from error
    known = (key for key in keys if key < census.key(before.date()))
    for _, key in zip(range(DAYS), known, strict=False):
        yield Census.of_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def compare(look: Look, instance: Instance, before: datetime) -> Finding:
    """A restored database against what was counted of it while it was whole. Fewer rows: it does not hold."""
    days = list(recorded(look, before))
    with look.database(account_database.master_url(look, instance)) as connection:
        found = [each for day in days for each in census.differences(day, census.take(connection, day.day, look.now()))]
    rows, lacking = sum(day.rows for day in days), [each for each in found if each.lacking]
    told = f"{rows} rows of {len(days)} days compared by table and day with what was counted then"
    if not days:
        return Finding.yes(f"nothing to compare with: no day before {before:%Y-%m-%d} was ever counted")
    if lacking:
        return Finding.no(f"{told}: {_listed(lacking)}")
    return Finding.yes(told + (f"; {_listed(found)}" if found else ", and each is as it was"))


def _listed(found: list[census.Difference]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(map(str, found[:SHOWN])) + more


def logins_work(look: Look, instance: Instance) -> Finding:
    """Whether every service gets in with what is stored for it."""
    base, wrong = account_database.base(look, instance), []
    with look.database(account_database.master_url(look, instance)) as connection:
        for service in look.catalog:
            address = stored.load(look, f"{ADDRESS}/{service.name}").value.reveal()
            if reason := logins.fault(connection, base, service, address):
                wrong.append(f"{service.name}: {reason}")
    if wrong:
        return Finding.no(f"{len(wrong)} services could not work: {wrong[0]}")
    return Finding.yes("every service gets in with its stored login, and has its own role's grants")
