"""What could not be looked at or decided, which codes that leaves open, and the test that would close them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from healthcheck.checks import Report
from healthcheck.diagnosis.shape import Cause, Unknown
from healthcheck.finding import Severity
from healthcheck.snapshot import Snapshot

# Part of the snapshot → the command by which a person would read it.
TESTS: Mapping[str, str] = {
    "Intent": "aws ssm get-parameter --name /{project}-intent/deployment",
    "Triggers": "aws scheduler list-schedules; aws events list-rules",
    "Definitions": "aws ecs list-task-definitions --status ACTIVE --sort DESC",
    "Roles": "aws iam get-account-authorization-details --filter Role LocalManagedPolicy",
    "Tasks": "aws ecs list-tasks --cluster {cluster} --desired-status STOPPED",
    "Functions": "aws lambda get-function --function-name {project}-healthcheck",
    "Images": "aws ecr describe-repositories",
    "Parameters": "aws ssm describe-parameters --parameter-filters Key=Path,Option=Recursive,Values=/{project}",
    "Network": "aws ec2 describe-subnets; aws ec2 describe-route-tables; aws ec2 describe-security-groups",
    "Alarms": "aws cloudwatch describe-alarms --alarm-name-prefix {project}-",
    "Topics": "aws sns list-subscriptions",
    "Letters": "aws sqs get-queue-attributes --queue-url … --attribute-names All",
    "LogGroups": "aws logs describe-log-groups --log-group-name-prefix /ecs/{project}/",
    "Provider": 'curl -sS -D- -H "APCA-API-KEY-ID: …" -H "APCA-API-SECRET-KEY: …" '
    '"https://data.alpaca.markets/v2/stocks/bars/latest?symbols=AAPL&feed=iex"',
}
OF_DATABASE = 'psql "$DATABASE_URL" -c "select 1"; then the same again as the role healthcheck'
# Symptom that nothing upstream explains → what may be behind it that leaves no trace in any inventory, and the test.
HYPOTHESES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "backlog": (("task_crash", "task_hang", "db_locked"), "one run by hand, looking at its log: python -m {subject}"),
    "bars_gap": (("feed_delayed", "task_crash", "db_locked"), "one run by hand: python -m {writer_of_bars}"),
    "features_stale": (("task_crash", "task_hang", "db_locked"), "one run by hand: python -m {writer_of_features}"),
    "task_hang": (("db_locked", "provider_error"), "select * from pg_stat_activity where wait_event_type = 'Lock'"),
    "feed_delayed": (("no_trades", "provider_error"), "ask the provider for the newest bar of one liquid symbol"),
}


def unknowns(snapshot: Snapshot, report: Report, causes: Sequence[Cause]) -> tuple[Unknown, ...]:
    """First the parts that were not read, then what the data do not tell, then symptoms whose cause nothing shows."""
    return (*_unread(snapshot, report), *_undecided(report), *_unexplained(snapshot, causes))


def _unread(snapshot: Snapshot, report: Report) -> Iterator[Unknown]:
    """One for each part, with the codes of all checks that it kept from being judged."""
    codes: dict[str, dict[str, None]] = {}
    reasons: dict[str, str] = {}
    for check in report.unjudged:
        finding = next((each for each in report.findings if each.subject == check.name), None)
        for name, reason in (finding.evidence if finding else {"data": check.question}).items():
            codes.setdefault(name, {}).update(dict.fromkeys(check.codes))
            reasons[name] = str(reason)
    for name, found in codes.items():
        yield Unknown(codes=tuple(found), subject=name, reason=reasons[name], test=_test(name, snapshot))


def _test(part: str, snapshot: Snapshot) -> str:
    catalog = snapshot.scope.catalog
    return TESTS.get(part, OF_DATABASE).format(project=catalog.project, cluster=catalog.cluster)


def _undecided(report: Report) -> Iterator[Unknown]:
    unjudged = {check.name for check in report.unjudged}
    for each in report.findings:
        if each.severity is Severity.UNKNOWN and each.subject not in unjudged:
            yield Unknown(codes=(each.code,), subject=each.subject, reason=each.summary, test=each.repair)


def _unexplained(snapshot: Snapshot, causes: Sequence[Cause]) -> Iterator[Unknown]:
    catalog = snapshot.scope.catalog
    known = {cause.code for cause in causes}
    words = {f"writer_of_{table}": catalog.writers(table)[0].name for table in ("bars", "features")}
    for cause in causes:
        codes, test = HYPOTHESES.get(cause.code, ((), ""))
        codes = tuple(code for code in codes if code not in known)
        own = cause.subject in catalog.services or cause.subject in ("bars", "features")
        if codes and own:
            yield Unknown(
                codes=codes,
                subject=cause.subject,
                reason=f"{cause.name} is a symptom, and what was read shows nothing upstream that would explain it",
                test=test.format(subject=cause.subject, **words),
            )
