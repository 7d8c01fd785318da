"""What proves a suspect innocent: each code's own test, over what was read. No proof, no acquittal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from healthcheck import snapshot as database
from healthcheck.aws.definitions import Definitions
from healthcheck.aws.images import Images
from healthcheck.aws.intent import Intent
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import Report, declared, freshness
from healthcheck.checks.provider import OURS
from healthcheck.diagnosis.places import REFUSED_BARS, services_of
from healthcheck.diagnosis.shape import Cleared, Unknown
from healthcheck.diagnosis.suspects import PROVIDER, Suspect, concerned
from healthcheck.finding import Finding
from healthcheck.provider import Provider
from healthcheck.snapshot import Market, PastRun, Runs, Snapshot
from pipeline.ledger import Outcome

# An answer that refuses is an answer: the provider works, and nobody is throttled.
REFUSALS = ("key_rejected", "key_swapped", "not_entitled")
ANSWERS_ALL_THE_SAME = ("provider_error", "rate_limited", "feed_delayed", "task_network")
COMPLETED = frozenset(Outcome) - {Outcome.FAILED}

Proof = Callable[[Suspect, Snapshot], str | None]


def tried(
    suspects: Sequence[Suspect], snapshot: Snapshot, report: Report, findings: Sequence[Finding]
) -> tuple[tuple[Cleared, ...], tuple[Unknown, ...]]:
    """The suspects that are proven innocent, and the changes that nothing has tested yet. A suspect of whom there is a
    finding is neither."""
    cleared: list[Cleared] = []
    untested: list[Unknown] = []
    for suspect in suspects:
        if _is_found(suspect, snapshot, findings):
            continue
        proof = PROOFS.get(suspect.code, _looked_at(report))(suspect, snapshot)
        if proof:
            cleared.append(_cleared(suspect, proof))
        elif suspect.at and suspect.code not in report.unjudged_codes:
            untested.append(_untested(suspect, snapshot))
    return tuple(cleared), tuple(untested)


def _is_found(suspect: Suspect, snapshot: Snapshot, findings: Sequence[Finding]) -> bool:
    """Whether a finding says that of the suspect, or of something that it is part of."""
    catalog = snapshot.scope.catalog
    about = set(concerned(suspect, catalog))
    for finding in findings:
        if finding.code != suspect.code or finding.key == REFUSED_BARS:
            continue
        hit = set(services_of(finding, catalog))
        if finding.subject == suspect.subject or suspect.subject == PROVIDER or not about or not hit or about & hit:
            return True
    return False


def _cleared(suspect: Suspect, proof: str) -> Cleared:
    return Cleared(code=suspect.code, subject=suspect.subject, suspected_because=suspect.because, evidence=proof)


def _untested(suspect: Suspect, snapshot: Snapshot) -> Unknown:
    runs = ", ".join(f"python -m {name}" for name in list(concerned(suspect, snapshot.scope.catalog))[:2])
    return Unknown(
        codes=(suspect.code,),
        subject=suspect.subject,
        reason=f"{suspect.because}, and nothing that was read has put it to the test since",
        test=f"one run: {runs}" if runs else "wait for the next runs, then scripts/diagnose",
    )


# ── the provider ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _provider(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """It was asked a moment ago, with the pair that is stored."""
    asked = snapshot.parts.get(Provider)
    fetched = _fetched(suspect, snapshot)
    if not isinstance(asked, Provider):
        return fetched
    if asked.data.code is None:
        newest = f"; its newest bar is of {asked.newest:%Y-%m-%d %H:%M} UTC" if asked.newest else ""
        words = f"asked now with the pair that is stored, it answered on the feed {asked.feed}{newest}"
        return "; ".join(filter(None, (words, _account(asked), fetched)))
    if suspect.code in ANSWERS_ALL_THE_SAME and asked.data.code in (*REFUSALS, *OURS):
        return f"it answers, by a refusal: {asked.data.words}"
    if suspect.code in ("key_rejected", "key_swapped"):
        if asked.data.code in OURS:
            return f"it was not the pair that was refused: {asked.data.words}"
        if asked.data.code == "not_entitled":
            return f"the pair was taken; what is refused is the feed {asked.feed}: {asked.data.words}"
        if asked.account.code is None:
            return "asked now with the pair that is stored, the trading account answered"
    return None


def _account(asked: Provider) -> str | None:
    return "the trading account answered too" if asked.account.code is None else None


def _fetched(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """Runs that asked the provider and completed since the change."""
    found = [run for name in concerned(suspect, snapshot.scope.catalog) for run in _since(name, suspect.at, snapshot)]
    if not found or suspect.at is None:
        return None
    newest = max(found, key=lambda run: run.started_at)
    return f"{len(found)} runs of {newest.service} have fetched since, the last at {newest.started_at:%H:%M} UTC"


def _served(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """Bars are served as they should be; with the market closed none is due."""
    asked, market = snapshot.parts.get(Provider), snapshot.parts.get(Market)
    if not isinstance(asked, Provider) or not isinstance(market, Market) or asked.data.code is not None:
        return _provider(suspect, snapshot) if isinstance(asked, Provider) and asked.data.code in REFUSALS else None
    if not market.open:
        closed = f" since {market.recent[-1].close:%Y-%m-%d %H:%M} UTC" if market.recent else ""
        return f"the market is closed{closed}, and no bar is due; the provider answered"
    behind = freshness.stale_minutes(asked.newest, snapshot.now)
    if asked.newest is None or behind is None or behind >= freshness.BARS_MINUTES_MAX:
        return None
    return f"the newest bar that it serves is of {asked.newest:%H:%M} UTC, {behind} minutes ago"


# ── what runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _image_held(suspect: Suspect, snapshot: Snapshot) -> str | None:
    found, images = _image(suspect, snapshot), snapshot.parts.get(Images)
    if not found or not isinstance(images, Images) or not images.find(*found):
        return None
    return f"the registry holds {found[0]}@{found[1][:19]}, which is what it is to run"


def _image_meant(suspect: Suspect, snapshot: Snapshot) -> str | None:
    found, intent = _image(suspect, snapshot), snapshot.parts.get(Intent)
    if not found or not isinstance(intent, Intent) or not intent.meant(suspect.subject, found[1]):
        return None
    ran = _completed(suspect, snapshot)
    return f"it runs {found[1][:19]}, which is what the last apply meant" + (f"; {ran}" if ran else "")


def _image(suspect: Suspect, snapshot: Snapshot) -> tuple[str, str] | None:
    try:
        return declared.image(snapshot, snapshot.scope.catalog[suspect.subject])
    except (KeyError, TypeError):  # no such service; a part that it needs was not read
        return None


def _revision(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """Its schedule starts the newest revision."""
    definitions, triggers = snapshot.parts.get(Definitions), snapshot.parts.get(Triggers)
    service = snapshot.scope.catalog.services.get(suspect.subject)
    if not service or not isinstance(definitions, Definitions) or not isinstance(triggers, Triggers):
        return None
    schedule, newest = triggers.schedule(service.name, service.schedule), definitions.newest(service.task_definition)
    if not schedule or not newest or definitions.of(newest.family, schedule.target.revision) != newest:
        return None
    return f"the schedule {schedule.name} starts revision {newest.revision}, the newest"


def _completed(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """Runs have completed since the change."""
    found = [run for name in concerned(suspect, snapshot.scope.catalog) for run in _since(name, suspect.at, snapshot)]
    if suspect.at is None or not found:
        return None
    services = list(dict.fromkeys(run.service for run in found))
    newest = max(run.started_at for run in found)
    return f"{len(found)} runs of {', '.join(services)} have completed since, the last at {newest:%H:%M} UTC"


def _since(service: str, at: datetime | None, snapshot: Snapshot) -> list[PastRun]:
    """Runs of the service that began after the change and completed."""
    runs = snapshot.parts.get(Runs)
    known = runs.recent.get(service, ()) if isinstance(runs, Runs) else ()
    return [run for run in known if run.outcome in COMPLETED and not run.stood_back and (not at or run.started_at > at)]


# ── the database, and all else ───────────────────────────────────────────────────────────────────────────────────────


def _database(suspect: Suspect, snapshot: Snapshot) -> str | None:
    """Everything was read in it just now."""
    parts = [kind for kind in database.DATABASE if isinstance(snapshot.parts.get(kind), kind)]
    if len(parts) < len(database.DATABASE):
        return None
    return f"this diagnosis connected to it and read all {len(parts)} parts of its evidence"


def _looked_at(report: Report) -> Proof:
    """The checks that would say so were made, and say nothing of the kind."""

    def proof(suspect: Suspect, snapshot: Snapshot) -> str | None:
        asked = [check for check in report.judged if suspect.code in check.codes]
        if not asked or suspect.code in report.unjudged_codes:
            return None
        return "; ".join(f"{check.question} Yes." for check in asked[:2])

    return proof


PROOFS: Mapping[str, Proof] = {
    **dict.fromkeys((*REFUSALS, "provider_error", "rate_limited"), _provider),
    "feed_delayed": _served,
    "image_missing": _image_held,
    "image_stale": _image_meant,
    "target_revision_stale": _revision,
    **dict.fromkeys(("task_crash", "config_invalid", "ticker_config"), _completed),
    **dict.fromkeys(("db_connections", "db_unreachable"), _database),
}
