"""The faults that really happened, each injected into an applied account and told by the evidence it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from health_evidence import CATALOG, changed, healthy, ledger, past_run, state
from healthcheck.aws.letters import GivenUp, Letters
from healthcheck.aws.tasks import Task, Tasks
from healthcheck.place import Place
from healthcheck.provider import Answer, Provider
from healthcheck.snapshot import Dispatching, PastRun, Runs, Schema, Snapshot, Symbols
from market_rows import MINUTE, NOW
from pipeline.ledger import Outcome
from plane_world import PROJECT, Account

INGESTOR, FEATURES, NEWS, CLASSIFIER, WATCHLIST, SIGNALS, DISPATCHER, HEALTH = CATALOG.services
TASKS = tuple(service.name for service in CATALOG if service.kind == "task")
ROLE = CATALOG.scheduler_role
SINCE = NOW - 18 * MINUTE
ANSWERED = Answer(code=None, words="answered")
UNAUTHORISED = Answer(code="key_rejected", words="Alpaca refused the key pair: 401 unauthorized")
NO_PLAN = Answer(code="not_entitled", words="403 subscription does not permit querying recent SIP data")

Names = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`inject` breaks the account, `tell` changes what the database and the provider show; then exactly `causes` are to
    be named, and `cleared` among the innocent."""

    causes: Names
    cleared: Names = frozenset()
    inject: Callable[[Account], None] = field(default=lambda account: None)
    tell: Callable[[Snapshot], Snapshot] = field(default=lambda snapshot: snapshot)


def told(parts: Mapping[type, object], place: Place, faults: Iterable[Fault]) -> Snapshot:
    """The snapshot of an account, whose parts were read after the injections, with what the faults do to the rest."""
    base = healthy()
    snapshot = replace(
        base, scope=replace(base.scope, place=place), parts={**base.parts, Provider: provider(), **parts}
    )
    for fault in faults:
        snapshot = fault.tell(snapshot)
    return snapshot


def provider(data: Answer = ANSWERED, account: Answer = ANSWERED, newest: datetime | None = NOW - MINUTE) -> Provider:
    """As it answers now."""
    return Provider(data=data, account=account, feed="iex", newest=newest if data.code is None else None)


def names(code: str, *subjects: str) -> Names:
    return frozenset(f"{code}:{subject}" for subject in subjects)


# ── what the evidence shows ──────────────────────────────────────────────────────────────────────────────────────────


def runs(snapshot: Snapshot, **recent: list[PastRun]) -> Snapshot:
    """The ledger with these runs (newest first) in the place of a service's."""
    known = {name: list(found) for name, found in snapshot.part(Runs).recent.items()}
    completed = dict(snapshot.part(Runs).completed)
    made = ledger(snapshot.now, **{**known, **recent})
    return replace(snapshot, parts={**snapshot.parts, Runs: replace(made, completed={**completed, **made.completed})})


def silent(*services: str, since: datetime = SINCE) -> Callable[[Snapshot], Snapshot]:
    """Those services have not run since; what they write has not come in either."""

    def tell(snapshot: Snapshot) -> Snapshot:
        found = runs(snapshot, **{name: [past_run(name, since)] for name in services})
        if INGESTOR in services:
            found = no_bars(found, since)
        elif FEATURES in services:
            found = late_features(found, since)
        return found

    return tell


def no_bars(snapshot: Snapshot, since: datetime = SINCE) -> Snapshot:
    """The newest bars and features are those of the minute before."""
    states = tuple(state(each.symbol, newest_bar=since - MINUTE, newest_features=since - MINUTE)
                   for each in snapshot.part(Symbols).states)  # fmt: skip
    return changed(snapshot, Symbols, states=states)


def late_features(snapshot: Snapshot, since: datetime = SINCE) -> Snapshot:
    states = tuple(replace(each, newest_features=since - MINUTE, unserved_since=since + MINUTE)
                   for each in snapshot.part(Symbols).states)  # fmt: skip
    return changed(snapshot, Symbols, states=states)


def failing(service: str, code: str, error: str) -> Callable[[Snapshot], Snapshot]:
    """The service's runs have failed since, each with that record."""

    def tell(snapshot: Snapshot) -> Snapshot:
        period = CATALOG[service].period
        count = max(3, int((NOW - SINCE) / period))
        failed = [past_run(service, NOW - (i + 0.5) * period, Outcome.FAILED, error=error, error_code=code)
                  for i in range(count)]  # fmt: skip
        failed = [run for run in failed if run.started_at > SINCE] or failed[:2]
        found = runs(snapshot, **{service: [*failed, past_run(service, SINCE - period)]})
        if service == INGESTOR:
            found = no_bars(found)
        elif service == FEATURES:
            found = late_features(found)
        return found

    return tell


def both(*told: Callable[[Snapshot], Snapshot]) -> Callable[[Snapshot], Snapshot]:
    def tell(snapshot: Snapshot) -> Snapshot:
        for each in told:
            snapshot = each(snapshot)
        return snapshot

    return tell


def answers(data: Answer, account: Answer = ANSWERED) -> Callable[[Snapshot], Snapshot]:
    return lambda snapshot: replace(snapshot, parts={**snapshot.parts, Provider: provider(data, account)})


def given_up(service: str) -> Callable[[Snapshot], Snapshot]:
    """The scheduler has given up invocations of the service."""
    return lambda snapshot: changed(snapshot, Letters, lately={service: GivenUp(count=3, newest=NOW - MINUTE)})


def schema(**found: Any) -> Callable[[Snapshot], Snapshot]:
    return lambda snapshot: changed(snapshot, Schema, **found)


def crashed(service: str, *revisions: int) -> Callable[[Snapshot], Snapshot]:
    """Its last tasks, newest first, exited with code 1 without a record."""

    def tell(snapshot: Snapshot) -> Snapshot:
        family = CATALOG[service].task_definition
        ended = tuple(_task(family, revision, NOW - (i + 1) * MINUTE) for i, revision in enumerate(revisions))
        found = replace(snapshot, parts={**snapshot.parts, Tasks: Tasks(running=(), stopped=ended, kept_by_log=True)})
        died = [past_run(service, NOW - (i + 1) * MINUTE, None) for i in range(len(revisions))]
        return runs(found, **{service: [*died, past_run(service, SINCE)]})

    return tell


def unstarted(reason: str, *services: str) -> Callable[[Snapshot], Snapshot]:
    """Their last tasks were stopped before a container ran."""

    def tell(snapshot: Snapshot) -> Snapshot:
        ended = tuple(
            replace(_task(CATALOG[name].task_definition, 1, NOW - (i + 1) * MINUTE), reason=reason, exit_code=None,
                    stop_code="TaskFailedToStart", started_at=None)
            for name in services for i in range(3)
        )  # fmt: skip
        return replace(
            silent(*services)(snapshot),
            parts={**silent(*services)(snapshot).parts, Tasks: Tasks(running=(), stopped=ended, kept_by_log=True)},
        )

    return tell


def _task(family: str, revision: int, at: datetime) -> Task:
    return Task(
        arn=f"arn:aws:ecs:us-west-2:123456789012:task/{CATALOG.cluster}/{family}-{at:%H%M}",
        family=family,
        revision=revision,
        started_by="",
        status="STOPPED",
        created_at=at,
        started_at=at,
        stopped_at=at + timedelta(seconds=20),
        stop_code="EssentialContainerExited",
        reason="Essential container in task exited",
        exit_code=1,
        container_reason="",
        execution_id=f"{family}-{at.isoformat()}",
    )


# ── what breaks the account ──────────────────────────────────────────────────────────────────────────────────────────


def deleted(*services: str) -> Callable[[Account], None]:
    def inject(account: Account) -> None:
        for name in services:
            account.client("scheduler").delete_schedule(Name=CATALOG[name].schedule, GroupName=name)

    return inject


def rotated(account: Account) -> None:
    for name in ("alpaca_key_id", "alpaca_secret_key"):
        put(account, name, "new")


def put(account: Account, name: str, value: str) -> None:
    account.client("ssm").put_parameter(
        Name=f"/{PROJECT}/{name}", Value=value, Type="SecureString" if "alpaca" in name else "String", Overwrite=True
    )


def unread_yaml(account: Account) -> None:
    put(account, "dispatch_limits", "mode: SIMULATED")
    deleted(DISPATCHER)(account)


def misnamed(account: Account) -> None:
    for name in ("alpaca_api_key", "alpaca_api_secret"):
        put(account, name, "new")


def targets(*services: str, **target: Any) -> Callable[[Account], None]:
    def inject(account: Account) -> None:
        for name in services:
            account.change(name, Target=target)

    return inject


def distrusted(account: Account, role: str = ROLE) -> None:
    document = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                               "Principal": {"Service": "events.amazonaws.com"}}]}  # fmt: skip
    account.client("iam").update_assume_role_policy(
        RoleName=role, PolicyDocument=json.dumps({"Version": "2012-10-17", **document})
    )


def narrowed(action: str) -> Callable[[Account], None]:
    """The scheduler's role loses an action in every inline policy that has it."""

    def inject(account: Account) -> None:
        iam = account.client("iam")
        for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
            if action in json.dumps(account.policy(ROLE, name)):
                account.without(ROLE, name, action)

    return inject


def one_family(account: Account) -> None:
    """It may start one family only."""
    iam = account.client("iam")
    for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        document = account.policy(ROLE, name)
        for statement in document["Statement"]:
            if "ecs:RunTask" in statement["Action"]:
                kept = [each for each in statement["Resource"] if CATALOG[INGESTOR].task_definition in each]
                statement["Resource"] = kept
        account.write_policy(ROLE, name, document)


def ruled(service: str) -> Callable[[Account], None]:
    """A forgotten rule starts the old revision beside the schedule's new one."""

    def inject(account: Account) -> None:
        old = account.definition(service)["taskDefinitionArn"]
        account.redefine(service)
        rule(account, service, old)

    return inject


def rule(account: Account, service: str, definition: str) -> None:
    target = account.schedule(service)["Target"]
    events = account.client("events")
    events.put_rule(Name=f"{service}-old", ScheduleExpression="rate(1 minute)")
    ecs = {"TaskDefinitionArn": definition, "TaskCount": 1, "LaunchType": "FARGATE"}
    events.put_targets(
        Rule=f"{service}-old",
        Targets=[{"Id": "old", "Arn": target["Arn"], "RoleArn": target["RoleArn"], "EcsParameters": ecs}],
    )


def only_as_rule(service: str) -> Callable[[Account], None]:
    def inject(account: Account) -> None:
        rule(account, service, account.definition(service)["taskDefinitionArn"])
        deleted(service)(account)

    return inject


def imaged(service: str, reference: str) -> Callable[[Account], None]:
    """A new revision, which the schedule starts, has that image of the service's repository."""

    def inject(account: Account) -> None:
        image = account.definition(service)["containerDefinitions"][0]["image"].partition("@")[0]
        account.redefine(service, container={"image": image + reference})

    return inject


def pinned(service: str, *, gone: bool = False) -> Callable[[Account], None]:
    """The schedule stays at the older revision, which may be deregistered too."""

    def inject(account: Account) -> None:
        old = account.definition(service)["taskDefinitionArn"]
        account.redefine(service)
        account.change(service, Target={"EcsParameters": {"TaskDefinitionArn": old}})
        if gone:
            account.client("ecs").deregister_task_definition(taskDefinition=old)

    return inject


def walled(account: Account) -> None:
    """The tasks' security group lets no HTTPS out."""
    ec2 = account.client("ec2")
    (group,) = (
        each for each in ec2.describe_security_groups()["SecurityGroups"] if each["GroupName"] == f"{PROJECT}-tasks"
    )
    out = [each for each in group["IpPermissionsEgress"] if each.get("FromPort") == 443]
    ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=out)


def alarm_changed(name: str, **fields: Any) -> Callable[[Account], None]:
    def inject(account: Account) -> None:
        cloudwatch = account.client("cloudwatch")
        (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        kept = {
            key: found[key]
            for key in (
                *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "Metrics"),
                *("MetricName", "Namespace", "Statistic", "Dimensions", "Period", "EvaluationPeriods"),
                *("DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData"),
            )
            if found.get(key) not in (None, [])
        }
        cloudwatch.put_metric_alarm(**{**kept, **fields})

    return inject


SILENT = f"{PROJECT}-{INGESTOR.replace('_', '-')}-silent"
FOUR = (INGESTOR, FEATURES, CLASSIFIER, NEWS)
NOWHERE = {"EcsParameters": {"NetworkConfiguration": {"awsvpcConfiguration": {
    "Subnets": ["subnet-0123456789abcdef0"], "SecurityGroups": ["sg-0123456789abcdef0"],
    "AssignPublicIp": "ENABLED"}}}}  # fmt: skip


def account_arn(cluster: str, region: str = "us-west-2") -> str:
    return f"arn:aws:ecs:{region}:123456789012:cluster/{cluster}"


def each(*injections: Callable[[Account], None]) -> Callable[[Account], None]:
    def inject(account: Account) -> None:
        for one in injections:
            one(account)

    return inject


def two_stores(snapshot: Snapshot) -> Snapshot:
    """The ingestor runs with the old pair, the dispatcher with the new one."""
    recent = snapshot.part(Runs).recent
    known = {
        name: [replace(run, parameter_versions={"alpaca_key_id": version}) for run in recent[name]]
        for name, version in ((INGESTOR, "old"), (DISPATCHER, "new"))
    }
    later = [replace(known[DISPATCHER][0], started_at=NOW - MINUTE / 2), *known[DISPATCHER]]
    return runs(snapshot, **{INGESTOR: known[INGESTOR], DISPATCHER: later})


TIMED_OUT = "unable to retrieve ecr registry auth: dial tcp: i/o timeout. Please check your task network configuration"
REJECTED = failing(INGESTOR, "key_rejected", "Alpaca refused the key pair: 401 unauthorized")
FAULTS: dict[str, Fault] = {
    "1 four schedules gone, the key rotated": Fault(
        causes=names("schedule_missing", *FOUR),
        cleared=names("key_rejected", "provider"),
        inject=each(deleted(*FOUR), rotated),
        tell=silent(*FOUR),
    ),
    "1 one schedule gone": Fault(
        causes=names("schedule_missing", DISPATCHER), inject=deleted(DISPATCHER), tell=silent(DISPATCHER)
    ),
    "1 all schedules gone": Fault(
        causes=names("schedule_missing", *CATALOG.services),
        cleared=names("key_rejected", "provider"),
        inject=deleted(*CATALOG.services),
        tell=silent(*CATALOG.services),
    ),
    "1 one schedule disabled": Fault(
        causes=names("schedule_disabled", INGESTOR),
        cleared=names("key_rejected", "provider"),
        inject=lambda account: account.change(INGESTOR, State="DISABLED"),
        tell=silent(INGESTOR),
    ),
    "1 kept as a rule only": Fault(
        causes=names("schedule_missing", FEATURES), inject=only_as_rule(FEATURES), tell=silent(FEATURES)
    ),
    "2 the new pair under the wrong names": Fault(
        causes=names("key_rejected", "provider")
        | names("parameter_unread", f"/{PROJECT}/alpaca_api_key", f"/{PROJECT}/alpaca_api_secret"),
        cleared=names("provider_error", "provider"),
        inject=misnamed,
        tell=both(answers(UNAUTHORISED, UNAUTHORISED), REJECTED),
    ),
    "4 another cluster": Fault(
        causes=names("target_cluster", *TASKS),
        cleared=names("image_missing", INGESTOR) | names("image_stale", INGESTOR),
        inject=targets(*TASKS, Arn=account_arn("ops-pipeline")),
        tell=silent(*TASKS),
    ),
    "4 the right cluster in another region": Fault(
        causes=names("target_cluster", SIGNALS),
        inject=targets(SIGNALS, Arn=account_arn(CATALOG.cluster, "us-east-1")),
        tell=silent(SIGNALS),
    ),
    "5 half of them repaired": Fault(
        causes=names("target_cluster", *TASKS[:3]),
        inject=targets(*TASKS[:3], Arn=account_arn("ops-pipeline")),
        tell=silent(*TASKS[:3]),
    ),
    "6 unknown subnet and group": Fault(
        causes=names("target_network", CLASSIFIER), inject=targets(CLASSIFIER, **NOWHERE), tell=silent(CLASSIFIER)
    ),
    "6 the group lets nothing out": Fault(
        causes=names("task_network", "network"),
        inject=walled,
        tell=unstarted(f"ResourceInitializationError: {TIMED_OUT}", INGESTOR, SIGNALS),
    ),
    "7 the role of nothing": Fault(
        causes=names("role_missing", NEWS),
        inject=targets(NEWS, RoleArn="arn:aws:iam::123456789012:role/ops-pipeline-gone"),
        tell=silent(NEWS),
    ),
    "8 the trust names only events": Fault(
        causes=names("role_trust", ROLE), inject=distrusted, tell=silent(*CATALOG.services)
    ),
    "8 ECS may not take the task's role": Fault(
        causes=names("role_trust", f"{PROJECT}-{SIGNALS.replace('_', '-')}-execution"),
        inject=lambda account: distrusted(account, f"{PROJECT}-{SIGNALS.replace('_', '-')}-execution"),
        tell=both(silent(SIGNALS), given_up(SIGNALS)),
    ),
    "9 may run one family only": Fault(
        causes=names("role_run_task", ROLE), inject=one_family, tell=silent(*TASKS[1:])
    ),
    "9 may pass no role": Fault(
        causes=names("role_pass_role", ROLE), inject=narrowed("iam:PassRole"), tell=silent(*TASKS)
    ),
    "10 an old rule beside the schedule": Fault(
        causes=names("trigger_duplicate", SIGNALS),
        cleared=names("target_revision_stale", SIGNALS) | names("image_stale", SIGNALS),
        inject=ruled(SIGNALS),
    ),
    "11 pinned to an older revision": Fault(
        causes=names("target_revision_stale", FEATURES), inject=pinned(FEATURES), tell=crashed(FEATURES, 1, 1, 1)
    ),
    "11 pinned to a deregistered revision": Fault(
        causes=names("target_task_definition", FEATURES), inject=pinned(FEATURES, gone=True), tell=silent(FEATURES)
    ),
    "12 fixed thrice, never rebuilt": Fault(
        causes=names("image_stale", CLASSIFIER),
        cleared=names("target_revision_stale", CLASSIFIER),
        inject=lambda account: account.redefine(CLASSIFIER) and None,
        tell=crashed(CLASSIFIER, 2, 2, 2, 1, 1),
    ),
    "12 an image that was never pushed, by its tag": Fault(
        causes=names("image_missing", FEATURES),
        inject=imaged(FEATURES, ":never-pushed"),
        tell=silent(FEATURES),
    ),
    "12 an image that was never pushed, by its digest": Fault(
        causes=names("image_missing", CLASSIFIER),
        cleared=names("target_revision_stale", CLASSIFIER),
        inject=imaged(CLASSIFIER, f"@sha256:{'ab' * 32}"),
        tell=silent(CLASSIFIER),
    ),
    "13 one of two stores rotated": Fault(
        causes=names("key_rejected", INGESTOR),
        cleared=names("provider_error", "provider"),
        tell=both(REJECTED, two_stores),
    ),
    "14 a feed that needs a paid plan": Fault(
        causes=names("not_entitled", "provider"),
        cleared=names("key_rejected", "provider"),
        inject=lambda account: put(account, "alpaca_data_feed", "sip"),
        tell=both(answers(NO_PLAN), failing(INGESTOR, "not_entitled", NO_PLAN.words)),
    ),
    "17 features lag, and runs succeed": Fault(
        causes=names("features_stale", "features"),
        cleared=names("key_rejected", "provider"),
        tell=late_features,
    ),
    "18 a trailing comma": Fault(
        causes=names("ticker_config", INGESTOR),
        inject=lambda account: put(account, "tickers", "AAPL,MSFT,"),
        tell=both(
            failing(INGESTOR, "ticker_config", "parameter tickers (TICKERS): item 3 of 3 is blank (a stray comma?)"),
            failing(CLASSIFIER, "ticker_config", "parameter tickers (TICKERS): item 3 of 3 is blank (a stray comma?)"),
        ),
    ),
    "19 the repository is ahead of the database": Fault(
        causes=names("db_schema", "migrations"),
        cleared=names("db_connections", "database"),
        tell=both(schema(pending=("0009_signals",)), failing(SIGNALS, "db_schema", "pending: 0009_signals")),
    ),
    "20 an old CHECK": Fault(
        causes=names("db_schema", "tables"),
        cleared=names("db_connections", "database"),
        tell=both(
            schema(missing=("check dispatches_state",), foreign=("check dispatches_old",)),
            failing(DISPATCHER, "task_crash", "new row violates check constraint dispatches_old"),
        ),
    ),
    "21 a dropped column": Fault(
        causes=names("db_schema", "tables"),
        cleared=names("db_connections", "database"),
        tell=both(schema(missing=("column signals.reason",)), failing(SIGNALS, "db_schema", "no column reason")),
    ),
    "22 no bars at all": Fault(
        causes=names("bars_gap", "bars"),
        tell=lambda snapshot: changed(
            snapshot,
            Symbols,
            states=tuple(
                state(s, newest_bar=None, recent_bars=0, recent_since=None, newest_features=None)
                for s in ("AAPL", "MSFT")
            ),
        ),
    ),
    "23 old rows before fresh ones": Fault(
        causes=names("backlog", "dispatches pending"),
        tell=lambda snapshot: changed(snapshot, Dispatching, pending=100, oldest_pending=NOW - 40 * MINUTE),
    ),
    "24 YAML in a JSON parameter": Fault(
        causes=names("config_invalid", DISPATCHER),
        inject=lambda account: put(account, "dispatch_limits", "mode: SIMULATED"),
        tell=failing(DISPATCHER, "config_invalid", "parameter dispatch_limits (DISPATCH_LIMITS): not JSON"),
    ),
    "24 YAML, and nothing that would read it": Fault(
        causes=names("config_invalid", DISPATCHER) | names("schedule_missing", DISPATCHER),
        inject=unread_yaml,
        tell=silent(DISPATCHER),
    ),
    "24 a feed that there is not": Fault(
        causes=names("config_invalid", INGESTOR),
        cleared=names("provider_error", "provider") | names("key_rejected", "provider"),
        inject=lambda account: put(account, "alpaca_data_feed", "premium"),
        tell=both(
            answers(Answer(code="config_invalid", words="Alpaca knows no feed like 'premium' (400: invalid feed)")),
            failing(INGESTOR, "config_invalid", "parameter alpaca_data_feed (ALPACA_DATA_FEED): 'premium' is no feed"),
        ),
    ),
    "25 it exits in mid-run": Fault(
        causes=names("task_crash", WATCHLIST), tell=crashed(WATCHLIST, 1, 1, 1, 1)
    ),
    "26 an alarm without actions": Fault(
        causes=names("alarm_no_action", SILENT), inject=alarm_changed(SILENT, AlarmActions=[], OKActions=[])
    ),
    "26 an alarm whose actions are off": Fault(
        causes=names("alarm_disabled", SILENT), inject=alarm_changed(SILENT, ActionsEnabled=False)
    ),
    "28 a claim that nobody finishes": Fault(
        causes=names("stuck_rows", "dispatches claimed"),
        tell=lambda snapshot: changed(snapshot, Dispatching, lease_over=3, oldest_lease=NOW - 10 * MINUTE),
    ),
}  # fmt: skip

# Faults at once: real incidents had three to five. Names of FAULTS by their beginnings.
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    ("1 four", "2 the new"),
    ("1 four", "19 the"),
    ("1 four", "26 an alarm without"),
    ("1 one schedule gone", "9 may run"),
    ("1 one schedule disabled", "24 YAML in"),
    ("1 all", "26 an alarm whose"),
    ("2 the new", "24 YAML in"),
    ("2 the new", "26 an alarm without"),
    ("4 the right", "11 pinned to an older"),
    ("4 the right", "14 a feed"),
    ("5 half", "24 YAML in"),
    ("6 unknown", "7 the role"),
    ("6 unknown", "25 it exits"),
    ("7 the role", "10 an old"),
    ("8 the trust", "26 an alarm without"),
    ("8 the trust", "1 four"),
    ("9 may pass", "26 an alarm whose"),
    ("11 pinned to a deregistered", "28 a claim"),
    ("12 fixed", "10 an old"),
    ("13 one", "28 a claim"),
    ("14 a feed", "26 an alarm without"),
    ("19 the", "26 an alarm whose"),
    ("18 a trailing", "28 a claim"),
    ("4 the right", "7 the role", "25 it exits"),
    ("1 one schedule gone", "6 unknown", "2 the new"),
    ("10 an old", "12 fixed", "24 YAML in"),
    ("1 one schedule disabled", "7 the role", "28 a claim"),
    ("13 one", "6 unknown", "25 it exits"),
)


def starting(beginning: str) -> Fault:
    """The one whose name begins so."""
    (found,) = (fault for name, fault in FAULTS.items() if name.startswith(beginning))
    return found
