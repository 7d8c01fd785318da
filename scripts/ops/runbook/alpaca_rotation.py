"""The steps of a key rotation: each as a look and an act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from psycopg.types.json import Jsonb

from ops.runbook import account, alpaca_pair, alpaca_provider, running, stored
from ops.runbook.acting import Hands
from ops.runbook.alpaca_pair import NAMES, Pair
from ops.runbook.alpaca_provider import Verdict
from ops.runbook.errors import CannotUndo, Failed, Refused, Remains
from ops.runbook.finding import Blast, Finding
from ops.runbook.reading import Look
from ops.runbook.running import Run
from ops.runbook.stored import NEXT
from pipeline import sessions
from pipeline.catalog import Service

PROVEN = 3  # times that each API must accept a pair before it counts
OWNER = "runbooks/alpaca-account.json"  # in the records bucket: whose pair was proven last
EVER = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_SECONDS = 15.0
BAR_SECONDS = 600.0
QUIET_SECONDS = 120.0


def ingestor(look: Look) -> Service:
    """The service that fetches bars with the pair."""
    return next(service for service in look.catalog.writers("bars"))


def new_versions(look: Look) -> dict[str, str] | None:
    """The fingerprints of the pair that is to be: as this run noted them, else as given, else as it waits beside.

    Raises Refused where a run is taken up with another pair than it was begun with."""
    given = alpaca_pair.given(look)
    noted: dict[str, str] | None = look.facts.get("new")
    if given and noted and given.fingerprints != noted:
        raise Refused("this run was begun with another pair; go on with that one, or begin a new run with --apply")
    if noted:
        return noted
    found = given or alpaca_pair.staged(look)
    return found.fingerprints if found else None


# ── proven and put beside ────────────────────────────────────────────────────────────────────────────────────────────


def is_staged(look: Look) -> Finding:
    """Whether the new pair waits beside the old one, or is in its place already."""
    wanted = new_versions(look)
    if wanted is None:
        return Finding.no("no new pair is named yet; it is asked for, proven, and only then stored")
    if alpaca_pair.current(look).fingerprints == wanted:
        return Finding.yes("the new pair is in its place already")
    waiting = alpaca_pair.staged(look)
    if waiting is not None and waiting.fingerprints == wanted:
        return Finding.yes(f"the new pair {waiting.shown} waits under …{NEXT}")
    return Finding.no("the new pair does not wait under …/next yet")


def is_good(look: Look) -> Finding:
    """Whether the pair that was given is one that may be stored. Raises Refused where it is not."""
    pair = alpaca_pair.given(look)
    if pair is None:
        return Finding.yes("none was given; it is asked for and proven in the next step")
    number = prove(look, pair, known_account(look))
    return Finding.yes(f"both APIs accepted {pair.shown} {PROVEN} times; its account is {number}")


def prove(look: Look, pair: Pair, known: tuple[str, str]) -> str:
    """The pair's account. Raises Refused unless it has the right shape, is accepted by both APIs, and is the account's.

    `known` is the account that it ought to be of, and who says so."""
    alpaca_pair.require_shape(pair)
    answers = alpaca_provider.ask(look, pair, PROVEN)
    if not answers.always(Verdict.ACCEPTED):
        raise Refused(f"the new pair is no good, and nothing was stored: {_reason(answers)}")
    number, source = known
    if number and answers.account != number:
        raise Refused(f"the new pair is of account {answers.account}, not of {number} ({source}); nothing was stored")
    return answers.account


def _reason(answers: alpaca_provider.Answers) -> str:
    if answers.inconsistent or answers.ever(Verdict.UNANSWERED):
        return f"the provider does not answer as it should ({answers.told}); wait for it"
    if answers.ever(Verdict.ELSEWHERE):
        return f"it belongs to another environment, live instead of paper or the reverse ({answers.told})"
    if answers.ever(Verdict.REFUSED):
        return f"it was refused ({answers.told}); copy both values again"
    return f"it may not do all that is needed ({answers.told})"


def known_account(look: Look) -> tuple[str, str]:
    """(the account's number, who says so); both empty where nobody knows it."""
    if look.options["account"]:
        return str(look.options["account"]), "by --account"
    present = alpaca_pair.current(look)
    if alpaca_pair.is_set(present) and (number := alpaca_provider.ask(look, present, 1).account):
        return number, "by the stored pair"
    return owner(look), "by the last rotation's record"


def owner(look: Look) -> str:
    """The account that the last rotation wrote down, or nothing."""
    try:
        found = look.client("s3").get_object(Bucket=account.records_bucket(look), Key=OWNER)
        return str(json.loads(found["Body"].read())["account"])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return ""
        raise


def stage(hands: Hands) -> None:
    """Takes in the new pair, proves it, and stores it beside the old one."""
    look = hands.look
    known = known_account(look)  # before the new pair is made, which may end the old one
    pair = alpaca_pair.ask(hands)
    number = prove(look, pair, known)
    hands.say(f"both APIs accepted {pair.shown} {PROVEN} times; its account is {number}")
    if not known[0]:
        _confirm_account(hands, number)
    versions = {name: stored.load(look, name).version for name in NAMES}
    hands.note(new=pair.fingerprints, old_versions=versions, account=number)
    for name in NAMES:
        stored.put(hands, name + NEXT, pair.of(name))


def _confirm_account(hands: Hands, number: str) -> None:
    """Nobody can tell whose pair it ought to be: the old one is dead, and no rotation wrote it down before."""
    try:
        typed = hands.ask(f"The pair belongs to account {number}. If that is yours, type its last 4 characters:")
    except Remains as error:
        # not the number itself: it is the person's to say whose pair it ought to be
        raise Refused(
            f"nobody can say whether account {number} is the right one; add --account NUMBER",
            needs=("--account", "NUMBER"),
        ) from error
    if typed.upper() != number[-4:].upper():
        raise Refused(f"{typed!r} are not the last characters of {number}; nothing was stored")


def unstage(hands: Hands) -> str:
    """Takes the pair away again that waits beside."""
    stored.drop(hands, [name + NEXT for name in NAMES])
    return "the new pair does not wait beside the old one any more"


# ── switched ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_switched(look: Look) -> Finding:
    """Whether both parameters hold the new pair."""
    wanted = new_versions(look)
    if wanted is None:
        return Finding.no("no new pair is named yet")
    present = alpaca_pair.current(look).fingerprints
    right = [name for name in NAMES if present[name] == wanted[name]]
    if len(right) == len(NAMES):
        return Finding.yes("both parameters hold the new pair")
    return Finding.no(f"{len(right)} of {len(NAMES)} parameters hold the new pair")


def both(look: Look) -> Blast:
    """What a switch touches: never more than the pair's own parameters."""
    return Blast(what="parameters", count=len(NAMES), limit=len(NAMES))


def switch(hands: Hands) -> None:
    """Puts the new pair in the old one's place, at a moment when no task is about to read half of it."""
    look = hands.look
    pair = alpaca_pair.staged(look)
    if pair is None:
        raise Failed("the new pair does not wait under …/next any more; run again with --resume to put it there")
    _require_untouched(look, pair)
    hands.wait("a moment in which no task starts", lambda: _quiet(look), every_seconds=2, most_seconds=QUIET_SECONDS)
    for name in NAMES:
        stored.put(hands, name, pair.of(name))
    hands.note(switched_at=look.now().isoformat())


def _require_untouched(look: Look, pair: Pair) -> None:
    """Raises Refused where a parameter holds neither the old value nor the new: somebody else wrote it meanwhile."""
    for name in NAMES:
        present = stored.load(look, name)
        noted = look.facts["old_versions"][name]
        before = next((each for each in stored.history(look, name) if each.version == noted), None)
        known = {pair.fingerprints[name], before.fingerprint if before else ""}
        if present.fingerprint not in known:
            raise Refused(
                f"{stored.path(look, name)} was written by somebody else at {present.at:%H:%M:%S} UTC (version "
                f"{present.version}, this run began with {noted}); see who did (CloudTrail), then begin a new run"
            )


def _quiet(look: Look) -> Finding:
    """Whether no task that reads the pair is between being made and having read its parameters."""
    starting = [
        service.name
        for service, _ in stored.readers(look, NAMES)
        if any(task["lastStatus"] in ("PROVISIONING", "PENDING") for task in running.going(look, service))
    ]
    return Finding.no(f"{', '.join(starting)} is starting") if starting else Finding.yes("no task is starting")


def switch_back(hands: Hands) -> str:
    """Puts the old pair back if the provider still takes it. Raises CannotUndo, plainly, if it does not."""
    look = hands.look
    before = alpaca_pair.old(look)
    if before is None:
        raise CannotUndo("there was no pair before; the new one stays")
    answers = alpaca_provider.ask(look, before, PROVEN)
    if not answers.always(Verdict.ACCEPTED):
        raise CannotUndo(
            f"the provider does not take the old pair {before.shown} any more ({answers.told}). An account has one "
            "pair at a time, and making a new one ends the one before. The new pair stays stored; if it is wrong, make "
            "yet another one on the provider's page and run this again"
        )
    for name in NAMES:
        stored.put(hands, name, before.of(name))
    return f"both parameters hold the old pair {before.shown} again, which the provider still takes"


# ── used ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def runs(look: Look) -> list[Run]:
    """The ingestor's finished runs with the new pair since it was switched to, the newest first."""
    versions = new_versions(look)
    return running.runs_with(look, ingestor(look), versions, _since(look)) if versions else []


def _since(look: Look) -> datetime:
    told = look.facts.get("switched_at")
    return datetime.fromisoformat(told) if told else EVER


def is_started(look: Look) -> Finding:
    """Whether a run has the new pair, or one that was started here is on its way."""
    if not is_switched(look).holds:
        return Finding.no("the new pair is not in its place yet")
    if found := runs(look):
        return Finding.yes(f"a run of {found[-1].started_at:%H:%M:%S} UTC was given the new pair")
    if any(task.get("startedBy") == running.started_by(look) for task in running.going(look, ingestor(look))):
        return Finding.yes("a task is on its way")
    return Finding.no(f"no run of {ingestor(look).name} was given the new pair yet")


def start(hands: Hands) -> None:
    """Starts one run as the schedule would, without waiting for the schedule."""
    attempt = int(hands.look.facts.get("attempt", 0)) + 1
    hands.note(attempt=attempt)
    hands.say(f"started {running.start(hands, ingestor(hands.look), attempt).rsplit('/', 1)[-1]}")


def has_bar(look: Look) -> Finding:
    """Whether the database holds a bar that was fetched with the new pair."""
    versions = new_versions(look)
    if not versions or not is_switched(look).holds:
        return Finding.no("the new pair is not in its place yet")
    values = {"service": ingestor(look).name, "since": _since(look), "versions": Jsonb(versions)}
    with look.database() as connection:
        row = connection.execute(running.statement("runbook_bar_with"), values).fetchone()
    if row:
        return Finding.yes(
            f"{row[0]}'s bar of {row[1]:%H:%M} UTC came with the new pair in the run of {row[2]:%H:%M:%S}"
        )
    newest = next(iter(runs(look)), None)
    told = f"; its newest run ended {newest.outcome}" if newest else ""
    return Finding.no(f"no bar was fetched with the new pair yet{told}")


def wait_for_bar(hands: Hands) -> None:
    """Waits for it; a run that the provider refuses ends the wait at once."""
    hands.wait(
        "a bar fetched with the new pair",
        lambda: _bar_or_trouble(hands.look),
        every_seconds=EVERY_SECONDS,
        most_seconds=BAR_SECONDS,
        else_="run scripts/diagnose",
    )


def _bar_or_trouble(look: Look) -> Finding:
    found = has_bar(look)
    if found.holds:
        return found
    for run in runs(look):
        if run.error_code in ("key_rejected", "key_swapped", "not_entitled"):
            raise Failed(f"the run of {run.started_at:%H:%M:%S} UTC was refused with the new pair: {run.error}")
    now = look.now()
    if runs(look) and sessions.at(now) is None:
        opens = next(sessions.between(now, now + timedelta(days=10))).open
        raise Remains(
            f"the market is closed, so no bar can come before {opens:%Y-%m-%d %H:%M} UTC; both pairs are kept until "
            "then, and --resume goes on"
        )
    return found


# ── the old pair retired ─────────────────────────────────────────────────────────────────────────────────────────────


def is_retired(look: Look) -> Finding:
    """Whether the provider refuses the old pair."""
    if not is_switched(look).holds:
        return Finding.no("the new pair is not in its place yet")
    before = alpaca_pair.old(look)
    if before is None:
        return Finding.yes("there was no pair before")
    answers = alpaca_provider.ask(look, before, PROVEN)
    if answers.always(Verdict.REFUSED):
        return Finding.yes(f"the provider refuses the old pair {before.shown}")
    return Finding.no(f"the old pair {before.shown} is not refused yet: {answers.told}")


def wait_until_retired(hands: Hands) -> None:
    """Waits for a person to take the old pair out of service; raises Remains where nobody does in time."""
    patience = float(hands.look.options["patience"])
    try:
        hands.wait(
            "the old pair to be refused",
            lambda: is_retired(hands.look),
            every_seconds=EVERY_SECONDS,
            most_seconds=patience,
        )
    except Failed as error:
        raise Remains(f"{error}; the new pair works, so there is no hurry") from error


# ── cleared ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_cleared(look: Look) -> Finding:
    """Whether nothing waits beside the parameters any more, and it is written down whose pair it is."""
    waiting = [name + NEXT for name in NAMES if stored.find(look, name + NEXT)]
    if waiting:
        return Finding.no(f"{', '.join(waiting)} {'is' if len(waiting) == 1 else 'are'} there yet")
    if "account" in look.facts and owner(look) != look.facts["account"]:
        return Finding.no("the account is not written down yet")
    return Finding.yes("nothing waits beside the parameters")


def clear(hands: Hands) -> None:
    """Deletes what waited, and writes the account down for the next rotation."""
    look = hands.look
    if number := look.facts.get("account"):
        body = json.dumps({"account": number, "by": look.run, "at": look.now().isoformat()}).encode()
        hands.client("s3").put_object(Bucket=account.records_bucket(look), Key=OWNER, Body=body)
    stored.drop(hands, [name + NEXT for name in NAMES])


# ── what it cost ─────────────────────────────────────────────────────────────────────────────────────────────────────


def measures(look: Look) -> Mapping[str, Any]:
    """Runs missed and minutes lost between the last run with the old pair and the first with the new one."""
    values = {"service": ingestor(look).name, "versions": Jsonb(new_versions(look) or {})}
    with look.database() as connection:
        row = connection.execute(running.statement("runbook_runs_around"), values).fetchone()
        if row is None or row[1] is None:
            return {}
        last, first, refused = row
        window = {"first": last or first, "last": first}
        lost = connection.execute(running.statement("runbook_minutes_lost"), window).fetchone()
    seconds = (first - last).total_seconds() if last and refused else 0
    return {
        "runs refused in between": refused,
        "seconds without a good run": round(seconds),
        "bars still missing from that time": lost[0] if lost else "unknown",
    }
