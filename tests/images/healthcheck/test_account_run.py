"""The healthcheck over an applied account and a real database: what it finds there, whom it tells, what it mends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from applied_stack import applied, push_images
from health_evidence import CATALOG
from healthcheck.__main__ import DEMANDS, run
from healthy_database import SYMBOLS, make_healthy, open_findings
from in_process import last_counts, run_at
from market_rows import MINUTE, NOW
from ops.local.aws import LocalAws
from ops.local.cloud import first_values, machine, set_parameters
from ops.local.exchange import Exchange, synthetic
from ops.local.postgres import Database
from pipeline.ledger import Outcome
from plane_world import PROJECT, Account, feeds_of

INGESTOR, FEATURES, NEWS, CLASSIFIER, *_, HEALTH = CATALOG.services
FOUR = (INGESTOR, FEATURES, NEWS, CLASSIFIER)
DEPLOYMENT = f"arn:aws:ssm:us-west-2:123456789012:parameter/{PROJECT}-intent/deployment"
MARKET = synthetic.market(list(SYMBOLS), NOW.date(), seed=4, history_sessions=1)
PERIOD = 5 * MINUTE
NOWHERE = SimpleNamespace(url="postgresql://nobody@127.0.0.1:1/nothing")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with applied("local", tmp_path_factory.mktemp("stack") / "account") as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        workspace.aws.save()
        yield workspace.aws


class Watched:
    """An account and its database, and the watcher's runs over them."""

    def __init__(self, aws: LocalAws, database: Any, exchange: Exchange) -> None:
        self.account, self.aws, self.database, self.exchange = Account(aws), aws, database, exchange
        self._heard = len(aws.mail())

    def check(self, now: datetime = NOW, **environment: str) -> Outcome:
        """One run, with what the function is given."""
        self.aws.set_now(now)
        self.exchange.set_now(now)
        given = {
            **machine(self.exchange),
            "AWS_ENDPOINT_URL": self.aws.url,
            "DEPLOYMENT": DEPLOYMENT,
            "TICKERS": ",".join(SYMBOLS),
            "ALPACA_KEY_ID": self.exchange.key_id,
            "ALPACA_SECRET_KEY": self.exchange.secret_key,
            "ALPACA_DATA_FEED": "iex",
        }
        return run_at(now, run, HEALTH, self.database, DEMANDS, **given | environment)

    @property
    def found(self) -> set[tuple[str, str]]:
        return set(open_findings(self.database))

    def mail(self) -> list[str]:
        """What people were told since they were last asked."""
        everything = [f"{each['subject']}\n{each['message']}" for each in self.aws.mail()]
        self._heard, new = len(everything), everything[self._heard :]
        return new

    def schedule(self, name: str) -> dict[str, Any]:
        """As it is written; Terraform's subnets are a set, so their order tells nothing."""
        found = self.account.schedule(name)
        placement = found["Target"].get("EcsParameters", {}).get("NetworkConfiguration", {}).get("awsvpcConfiguration")
        if placement:
            placement["Subnets"].sort()
        return found

    def delete(self, *services: str) -> None:
        for name in services:
            self.account.client("scheduler").delete_schedule(Name=CATALOG[name].schedule, GroupName=name)


@pytest.fixture
def watched(stack: LocalAws, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """As it was applied, and a database in which all is well."""
    stack.restore()
    for name, value in stack.environment({}).items():
        monkeypatch.setenv(name, value)  # boto3 looks nowhere else
    with database.connect() as connection:
        make_healthy(connection)
    with Exchange(MARKET) as exchange, feeds_of([]) as feeds:
        set_parameters(stack, first_values(MARKET, exchange, feeds, database.url))
        stack.set_now(NOW - MINUTE)
        yield Watched(stack, database, exchange)


def missing(*services: str) -> set[tuple[str, str]]:
    return {("schedule_missing", name) for name in services}


def test_a_healthy_account_has_no_findings_and_tells_nobody(watched: Watched) -> None:
    assert watched.check() is Outcome.OK
    assert watched.found == set()
    assert watched.mail() == []


def test_deleted_schedules_are_named_and_told_once_and_their_end_too(watched: Watched) -> None:
    before = {name: watched.account.schedule(name) for name in FOUR}
    watched.delete(*FOUR)
    watched.check()
    assert watched.found == missing(*FOUR)
    (told,) = watched.mail()
    assert all(f"CRITICAL  schedule_missing {name}, since 2026-01-26 15:29 UTC" in told for name in FOUR)
    assert "Run: scripts/fix-missing-schedulers --apply" in told

    watched.check(NOW + MINUTE)
    assert watched.mail() == []

    for name in FOUR:
        watched.account.client("scheduler").create_schedule(**before[name])
    watched.check(NOW + 2 * MINUTE)
    assert watched.found == missing(*FOUR), "one clean check may be luck"
    watched.check(NOW + 3 * MINUTE)
    assert not watched.found & missing(*FOUR)
    (told,) = watched.mail()
    assert all(f"OVER  schedule_missing {name}" in told for name in FOUR)


def test_what_could_not_be_sent_is_sent_by_the_next_check(watched: Watched) -> None:
    topic = f"arn:aws:sns:us-west-2:123456789012:{PROJECT}-alarms"
    watched.delete(INGESTOR)
    watched.account.client("sns").delete_topic(TopicArn=topic)
    watched.check()
    assert missing(INGESTOR) <= watched.found
    made = watched.account.client("sns").create_topic(Name=f"{PROJECT}-alarms")["TopicArn"]
    watched.account.client("sns").subscribe(TopicArn=made, Protocol="email", Endpoint="operator@example.com")
    watched.aws.confirm_subscriptions()
    watched.check(NOW + MINUTE)
    assert any(f"schedule_missing {INGESTOR}" in each for each in watched.mail())


def test_an_aws_that_answers_nothing_leaves_nothing_green(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert watched.check(AWS_ENDPOINT_URL="http://127.0.0.1:1") is Outcome.DEGRADED
    severities = open_findings(watched.database)
    assert severities["schedule_missing", "schedules_exist"] == "unknown"
    assert severities["alarm_missing", "alarms_exist"] == "unknown"
    assert last_counts(watched.database, HEALTH)["open_unknown"] > 20


def test_a_database_that_is_away_hides_nothing_of_the_account(watched: Watched) -> None:
    watched.delete(INGESTOR)
    watched.database = NOWHERE
    assert watched.check() is Outcome.DEGRADED
    (told,) = watched.mail()
    assert "db_unreachable database" in told
    assert f"schedule_missing {INGESTOR}" in told
    assert "nothing of this is remembered" in told


# ── what it mends ────────────────────────────────────────────────────────────────────────────────────────────────────

ON = {"SELF_HEAL": "true"}


def test_nothing_is_mended_unless_it_is_said(watched: Watched) -> None:
    watched.delete(INGESTOR)
    watched.check()
    with pytest.raises(watched.account.client("scheduler").exceptions.ResourceNotFoundException):
        watched.account.schedule(INGESTOR)


@pytest.mark.parametrize("services", [FOUR, tuple(CATALOG.services)], ids=["four", "all, its own among them"])
def test_schedules_are_made_again_as_terraform_made_them(watched: Watched, services: tuple[str, ...]) -> None:
    before = {name: watched.schedule(name) for name in services}
    watched.delete(*services)
    watched.check(**ON)
    assert {name: watched.schedule(name) for name in services} == before
    (told,) = watched.mail()
    assert all(f"HEALED  schedule_missing {name}" in told for name in services)


def test_a_schedule_whose_group_is_gone_gets_both_again(watched: Watched) -> None:
    scheduler = watched.account.client("scheduler")
    arn = scheduler.get_schedule_group(Name=INGESTOR)["Arn"]
    tags = scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"]
    before = watched.schedule(INGESTOR)
    scheduler.delete_schedule_group(Name=INGESTOR)
    watched.check(**ON)
    assert watched.schedule(INGESTOR) == before
    after = scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert sorted(after, key=str) == sorted(tags, key=str)


def test_a_disabled_schedule_is_enabled_and_nothing_else_of_it_changes(watched: Watched) -> None:
    before = watched.account.schedule(NEWS)
    watched.account.change(NEWS, State="DISABLED")
    watched.check(**ON)
    assert watched.account.schedule(NEWS) == before


def test_a_schedule_is_tried_once_an_hour_and_every_attempt_is_told(watched: Watched) -> None:
    watched.delete(INGESTOR)
    watched.check(**ON)
    watched.check(NOW + PERIOD, **ON)
    watched.check(NOW + 2 * PERIOD, **ON)  # seen to be over
    watched.mail()
    watched.delete(INGESTOR)
    watched.check(NOW + 3 * PERIOD, **ON)
    assert ("schedule_missing", INGESTOR) in watched.found
    assert not any("HEALED" in each for each in watched.mail())
    watched.check(NOW + timedelta(hours=1, minutes=1), **ON)
    assert any(f"HEALED  schedule_missing {INGESTOR}" in each for each in watched.mail())


def test_what_cannot_be_mended_is_said_and_keeps_no_other_from_its_turn(watched: Watched) -> None:
    family = CATALOG[INGESTOR].task_definition
    watched.delete(INGESTOR, FEATURES)
    definition = watched.account.definition(INGESTOR)["taskDefinitionArn"]
    watched.account.client("ecs").deregister_task_definition(taskDefinition=definition)
    watched.check(**ON)
    (told,) = watched.mail()
    assert f"NOT HEALED  schedule_missing {INGESTOR}: {family} has no revision" in told
    assert f"HEALED  schedule_missing {FEATURES}" in told


def test_a_job_that_a_rule_starts_instead_is_left_to_people(watched: Watched) -> None:
    target = watched.account.schedule(FEATURES)["Target"]
    events = watched.account.client("events")
    events.put_rule(Name="by-hand", ScheduleExpression="rate(1 minute)")
    ecs = {key: target["EcsParameters"][key] for key in ("TaskDefinitionArn", "TaskCount", "LaunchType")}
    events.put_targets(
        Rule="by-hand",
        Targets=[{"Id": "1", "Arn": target["Arn"], "RoleArn": target["RoleArn"], "EcsParameters": ecs}],
    )
    watched.delete(FEATURES)
    watched.check(**ON)
    assert ("schedule_missing", FEATURES) in watched.found
    assert not any("HEALED" in each for each in watched.mail())
