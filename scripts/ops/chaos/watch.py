"""Looks at the cloud after every minute: what fired and failed, which alarms changed, what the healthcheck found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import psycopg

from ops.chaos import record as kinds
from ops.chaos.market import Day
from ops.chaos.record import AlarmChange, Bars, Found, Invoked, Mail, Record, Rows, Stopped
from ops.local.cloud import MINUTE, Cloud
from ops.local.exchange.market import SYMBOL_STRIDE, moment
from ops.local.plane import EndedTask, Invocation, Minute
from ops.replay_report import sql
from pipeline import store
from pipeline.errors import DatabaseUnreachable

# A bar that came in later than this after its minute was missing, not merely on its way.
LATE = MINUTE
EXAMPLES = 10
DONE = (0, 3)  # exit codes of runs that did their work, all or in part
Tell = Callable[..., None]


class Watch:
    """Turns what the cloud shows into the record; `tell(kind, text, **more)` adds a line to the timeline."""

    def __init__(self, cloud: Cloud, day: Day, record: Record, tell: Tell) -> None:
        self.cloud = cloud
        self.day = day
        self.record = record
        self.tell = tell
        self._findings: dict[int, Found] = {}
        self._failing: set[str] = set()
        self._mails = len(cloud.aws.mail())  # what was delivered before the first minute is not of this scenario
        self._blind = False
        self._connection: store.Connection | None = None

    # ── every minute ─────────────────────────────────────────────────────────────────────────────────────────────────

    def minute(self, played: Minute) -> bool:
        """Takes in what one minute brought; True where the set of open findings is another than before."""
        for invocation in played.invocations:
            self._invocation(invocation)
        for ended in played.ended:
            self._ended(ended)
        for change in played.transitions:
            self._alarm(
                AlarmChange(
                    at=change.at, name=change.alarm.name, old=str(change.old), new=str(change.new), reason=change.reason
                )
            )
        self._new_mail()
        return self._look_at_findings()

    def _invocation(self, invocation: Invocation) -> None:
        service = invocation.trigger.split("/")[-2] if invocation.trigger.count("/") >= 2 else invocation.name
        self.record.invocations.append(
            Invoked(
                at=invocation.at,
                name=invocation.name,
                service=service,
                result=invocation.result,
                error_code=invocation.error_code,
                error_message=invocation.error_message,
            )
        )
        if invocation.result == "dead_letter":
            self._once(
                f"{invocation.name} dead letter {invocation.error_code}",
                kinds.DEAD_LETTER,
                f"{invocation.name} ends as a dead letter: {invocation.error_code}: {invocation.error_message}",
            )

    def _ended(self, ended: EndedTask) -> None:
        stopped = Stopped(
            at=ended.at,
            service=ended.service,
            stop_code=ended.stop_code,
            reason=ended.stopped_reason,
            exit_code=ended.exit_code,
        )
        self.record.stopped.append(stopped)
        key = f"{ended.service} runs fail"
        if ended.exit_code in DONE:
            if key in self._failing:
                self._failing.discard(key)
                self.tell(kinds.RUNS_RECOVER, f"runs of {ended.service} work again")
            return
        code = "" if ended.exit_code is None else f" (exit code {ended.exit_code})"
        reason = f"{ended.stop_code} {ended.stopped_reason}".strip() or _last_line(ended.output)
        self._once(key, kinds.RUNS_FAIL, f"runs of {ended.service} fail{code}: {reason}", output=ended.output[-2000:])

    def _once(self, key: str, kind: str, text: str, **more: Any) -> None:
        """Tells the first of a row of like failures."""
        if key not in self._failing:
            self._failing.add(key)
            self.tell(kind, text, **more)

    def _alarm(self, change: AlarmChange) -> None:
        self.record.alarms.append(change)
        self.tell(kinds.ALARM, f"{change.name} {change.new}", old=change.old, new=change.new, reason=change.reason)

    def _new_mail(self) -> None:
        if self.cloud.aws.find() is None:
            return  # a step has ended it; what it still has to tell comes when it is back
        delivered = self.cloud.aws.mail()
        for mail in delivered[min(self._mails, len(delivered)) :]:
            self._mail(mail)
        self._mails = len(delivered)

    def _mail(self, mail: Mapping[str, Any]) -> None:
        at = mail["at"] if isinstance(mail["at"], datetime) else datetime.fromisoformat(mail["at"])
        message = mail["message"] if isinstance(mail["message"], str) else json.dumps(mail["message"])
        subject = mail.get("subject") or ""
        self.record.mails.append(Mail(at=at, topic_arn=mail["topic_arn"], subject=subject, message=message))
        self.tell(kinds.NOTIFICATION, f"notified: {subject or message[:100]}")

    # ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """Raises psycopg.Error or DatabaseUnreachable."""
        if self._connection is None or self._connection.broken or self._connection.closed:
            self._connection = store.connect(self.cloud.database_url, name="chaos-watch")
        return self._connection.execute(sql(name), values).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _look_at_findings(self) -> bool:
        found = self._read_findings()
        if found is None:
            return False
        changed = False
        for row in found:
            before = self._findings.get(row.id)
            if before is None:
                more = {"severity": row.severity, "evidence": row.evidence, "repair": row.repair}
                self.tell(kinds.FINDING, f"{row.name} ({row.severity}): {row.summary}", **more)
            if row.cleared_at and not (before and before.cleared_at):
                self.tell(kinds.CLEARED, f"{row.name} cleared")
            changed |= before is None or before.cleared_at != row.cleared_at
            self._findings[row.id] = row
        self.record.findings = list(self._findings.values())
        return changed

    def _read_findings(self) -> list[Found] | None:
        try:
            rows = self._rows("chaos_findings", start=self.day.start)
        except (psycopg.Error, DatabaseUnreachable) as error:
            if not self._blind:
                self._blind = True
                self.tell(kinds.BLIND, f"the database cannot be read: {' '.join(str(error).split()):.200}")
            return None
        if self._blind:
            self._blind = False
            self.tell(kinds.BLIND, "the database can be read again")
        names = [field.name for field in fields(Found)]
        return [Found(**dict(zip(names, row, strict=True))) for row in rows]

    # ── at the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self, now: datetime) -> None:
        """Counts what is in the database; leaves None where it cannot be read."""
        try:
            runs: dict[str, dict[str, int]] = {}
            for service, outcome, count in self._rows("chaos_runs", start=self.day.start):
                runs.setdefault(service, {})[outcome] = count
            self.record.runs = runs
            self.record.bars = self._bars(now)
            self.record.rows = self._counts(now)
        except (psycopg.Error, DatabaseUnreachable) as error:
            self.tell(kinds.BLIND, f"nothing can be counted: {' '.join(str(error).split()):.200}")

    def _bars(self, now: datetime) -> Bars:
        expected = expected_bars(self.cloud, self.day, now)
        first, last = self.day.expected or (self.day.start, self.day.start)
        symbols = list(self.day.market.symbols)
        stored: dict[tuple[str, int], datetime] = {}
        rows = self._rows("chaos_bars", start=first, end=last, symbols=symbols)
        for symbol, ts, ingested_at in rows:
            stored[symbol, ts] = ingested_at
        lost = sorted(expected - stored.keys())
        late = [at for key, at in stored.items() if at - _due(key, self.day) > LATE]
        return Bars(
            expected=len(expected),
            stored=len(stored),
            lost=len(lost),
            duplicated=len(rows) - len(stored),
            lost_examples=[f"{symbol} {moment(ts):%H:%M}Z" for symbol, ts in lost[:EXAMPLES]],
            late=len(late),
            late_until=max(late, default=None),
        )

    def _counts(self, now: datetime) -> Rows:
        scope = {"first": self.day.start, "last": now, "settled": now, "symbols": list(self.day.market.symbols)}
        names = ("signals", "dispatches", "dispatches_duplicated")
        return Rows(**{name: int(self._rows(name, **scope)[0][0]) for name in names})


def expected_bars(cloud: Cloud, day: Day, now: datetime) -> set[tuple[str, int]]:
    """(symbol, epoch seconds) of the session's valid bars within the window that a reader could have by `now`."""
    if day.expected is None:
        return set()
    market, (first, last) = day.market, day.expected
    rows = cloud.exchange.data.served(now)
    ts = market.ts[rows]
    rows = rows[(ts >= int(first.timestamp())) & (ts + 60 <= int(last.timestamp()))]
    owners = (market.keys[rows] // SYMBOL_STRIDE).tolist()
    keys = {(market.symbols[owner], int(at)) for owner, at in zip(owners, market.ts[rows].tolist(), strict=True)}
    return keys - {(symbol, int(at.timestamp())) for symbol, at in market.invalid}


def _due(key: tuple[str, int], day: Day) -> datetime:
    """When a bar can be stored first: at its minute's end, or when the window begins."""
    return max(moment(key[1]) + MINUTE, day.start + MINUTE)


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2][:300]
