"""Whether the database is what this image was built for, and lets itself be read."""

from __future__ import annotations

from collections.abc import Iterator

from healthcheck.checks.check import DIAGNOSE, MIGRATE, Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Schema, Snapshot

ABSENT = ("db_unreachable", "db_connections")
# More lines than this tell the person on call nothing further.
SHOWN = 20


def schema_differs(snapshot: Snapshot) -> Iterator[Finding]:
    """A pending or edited migration; a column, constraint or trigger that is not as the migrations made it."""
    schema = snapshot.part(Schema)
    if schema.pending or schema.edited:
        yield Finding(
            code="db_schema",
            subject="migrations",
            severity=Severity.CRITICAL,
            summary=schema.edited or f"{len(schema.pending)} migrations pending, the first is {schema.pending[0]}",
            evidence={"pending": list(schema.pending), "edited": schema.edited},
            repair=MIGRATE,
        )
    # while a migration is pending, what it would make is missing as a matter of course
    if schema.missing and not schema.pending:
        yield Finding(
            code="db_schema",
            subject="tables",
            severity=Severity.CRITICAL,
            summary=f"{len(schema.missing)} objects are not as the migrations made them: "
            + "; ".join(schema.missing[:3]),
            evidence={"missing": list(schema.missing[:SHOWN]), "instead": list(schema.foreign[:SHOWN])},
            repair="write a migration that restores them, then scripts/migrate",
        )


def evidence_refused(snapshot: Snapshot) -> Iterator[Finding]:
    """A part of the evidence could not be read, and the database itself says why."""
    repairs = {"db_permission": MIGRATE, "db_schema": MIGRATE, "db_locked": DIAGNOSE}
    for name, part in sorted(snapshot.unreadable().items()):
        if part.code in repairs:
            yield Finding(
                code=part.code,
                subject=name,
                severity=Severity.CRITICAL,
                summary=part.reason,
                evidence={"part": name, "error": part.reason},
                repair=repairs[part.code],
            )


def unreachable(snapshot: Snapshot) -> Iterator[Finding]:
    """There is no way to it: one finding, however many parts that leaves unread."""
    parts = sorted(name for name, part in snapshot.unreadable().items() if part.code in ABSENT)
    for part in list(snapshot.unreadable().values()):
        if part.code in ABSENT:
            yield Finding(
                code=part.code,
                subject="database",
                severity=Severity.CRITICAL,
                summary=part.reason,
                evidence={"error": part.reason, "parts": parts},
                repair=DIAGNOSE,
            )
            return


CHECKS = (
    Check(
        name="database_reachable",
        question="Is there a way to the database?",
        codes=ABSENT,
        needs=(),
        find=unreachable,
    ),
    Check(
        name="schema_current",
        question="Is the database at this image's schema?",
        codes=("db_schema",),
        needs=(Schema,),
        find=schema_differs,
    ),
    Check(
        name="evidence_readable",
        question="Can all evidence be read?",
        codes=("db_permission", "db_schema", "db_locked"),
        needs=(),
        find=evidence_refused,
    ),
)
