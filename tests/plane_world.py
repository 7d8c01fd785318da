"""The applied stack under a plane of the test's own: broken, played by minutes, read back through AWS's API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ops.local.aws import LocalAws
from ops.local.cloud import first_values, machine, set_parameters
from ops.local.exchange import Exchange, Market
from ops.local.feeds import FeedServer
from ops.local.news_file import NewsItem
from ops.local.plane import EndedTask, Invocation, Minute, Plane
from ops.local.plane.containers import Containers
from ops.replay_news import spread
from pipeline import catalog, store
from pipeline.store import Connection

MINUTE = timedelta(minutes=1)
MORNING = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)  # a Monday, half an hour after the open
PROJECT = "ops-pipeline"
QUEUE = f"{PROJECT}-dead-letters"
# What updates of a schedule take of what a look at it gives.
SCHEDULE_FIELDS = (
    *("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"),
    *("Description", "State", "KmsKeyArn", "Target", "FlexibleTimeWindow", "ActionAfterCompletion"),
)


class Account:
    """An operator's way to break things."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """An operator's client: what it changes, the plane sees."""
        if service not in self._clients:
            self._clients[service] = self.aws.client(service)
        return self._clients[service]

    def keep(self, *services: str) -> None:
        """Deletes the schedules of all other services, and lets nobody be woken by that."""
        self.client("events").disable_rule(Name=f"{catalog.load().project}-changes")
        for service in catalog.load():
            if service.name not in services:
                self.client("scheduler").delete_schedule(Name=service.schedule, GroupName=service.name)

    def schedule(self, service: str) -> dict[str, Any]:
        """A service's schedule in the form that create and update take."""
        found = self.client("scheduler").get_schedule(Name=catalog.load()[service].schedule, GroupName=service)
        return {key: found[key] for key in SCHEDULE_FIELDS if key in found}

    def change(self, service: str, **fields: Any) -> None:
        """Writes the schedule whole, as AWS wants it; `Target` and its EcsParameters are laid over what is there."""
        before = self.schedule(service)
        target = dict(fields.pop("Target", {}))
        ecs = {**before["Target"].get("EcsParameters", {}), **target.pop("EcsParameters", {})}
        after = {**before["Target"], **target, **({"EcsParameters": ecs} if ecs else {})}
        self.client("scheduler").update_schedule(**{**before, **fields, "Target": after})

    def policy(self, role: str, name: str) -> dict[str, Any]:
        """An inline policy of a role."""
        found = self.client("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        return dict(found)

    def write_policy(self, role: str, name: str, document: Mapping[str, Any]) -> None:
        """Puts an inline policy in its place."""
        self.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def write_trust(self, role: str, document: Mapping[str, Any]) -> None:
        """Puts another trust policy in its place."""
        self.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

    def without(self, role: str, name: str, action: str) -> None:
        """Takes an action out of an inline policy."""
        document = self.policy(role, name)
        kept = []
        for statement in document["Statement"]:
            actions = _list(statement["Action"])
            left = [each for each in actions if each != action]
            if left:
                kept.append({**statement, "Action": left})
        assert kept != document["Statement"], f"{role} never had {action}"
        self.write_policy(role, name, {**document, "Statement": kept})

    def definition(self, service: str) -> dict[str, Any]:
        """The newest task definition of a service."""
        family = catalog.load()[service].task_definition
        found = self.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
        return dict(found)

    def redefine(self, service: str, **changes: Any) -> str:
        """Registers a revision with these changes (`container` are the container's) and points the schedule at it."""
        before = self.definition(service)
        container = {**before["containerDefinitions"][0], **changes.pop("container", {})}
        fields = (
            *("family", "taskRoleArn", "executionRoleArn", "networkMode", "requiresCompatibilities"),
            *("cpu", "memory", "runtimePlatform"),
        )
        kept = {key: before[key] for key in fields if key in before}
        made = self.client("ecs").register_task_definition(**{**kept, **changes}, containerDefinitions=[container])
        arn: str = made["taskDefinition"]["taskDefinitionArn"]
        self.change(service, Target={"EcsParameters": {"TaskDefinitionArn": arn}})
        return arn


class Rows(Protocol):
    """A database to look into as its superuser."""

    @property
    def url(self) -> str: ...

    def connect(self) -> Connection: ...


class World(Account):
    """One account, one plane, one database. The first `minute()` plays `at`."""

    def __init__(
        self,
        aws: LocalAws,
        containers: Containers,
        database: Rows,
        exchange: Exchange,
        feeds: FeedServer,
        market: Market,
    ) -> None:
        super().__init__(aws)
        self.database, self.exchange, self.feeds = database, exchange, feeds
        set_parameters(aws, first_values(market, exchange, feeds, self.given_address))
        aws.deliveries()  # of whoever had this AWS before
        self.plane = Plane(aws, environment={**machine(exchange), **self.trust}, containers=containers)
        self.at = MORNING
        self.played: list[Minute] = []
        self._mail_before = len(aws.mail())

    @property
    def given_address(self) -> str | None:
        """What every service's address is set to; None where the account's database gives each its own."""
        return self.database.url

    @property
    def trust(self) -> Mapping[str, str]:
        """What whoever connects to the database must be told, beyond the address."""
        return {}

    # ── to play ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def minute(self, *, alarms: bool = True) -> Minute:
        """Plays the next minute."""
        self.aws.set_now(self.at)
        self.exchange.set_now(self.at)
        self.feeds.set_now(self.at)
        played = self.plane.tick(self.at, alarms=alarms)
        self.played.append(played)
        self.at += MINUTE
        return played

    def minutes(self, count: int) -> list[Minute]:
        """Plays several."""
        return [self.minute() for _ in range(count)]

    @property
    def invocations(self) -> list[Invocation]:
        """All attempts so far."""
        return [each for minute in self.played for each in minute.invocations]

    @property
    def ended(self) -> list[EndedTask]:
        """All tasks and functions that have ended so far."""
        return [each for minute in self.played for each in minute.ended]

    # ── to read ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def letters(self, queue: str = QUEUE) -> list[tuple[str, dict[str, str]]]:
        """(body, attributes) of every message in the queue; they are gone from it then."""
        sqs, found = self.client("sqs"), []
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                told = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
                found.append((message["Body"], told))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def total(self, namespace: str, name: str, **dimensions: str) -> float:
        """The sum of a metric since the morning, as GetMetricStatistics tells it."""
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=MORNING,
            EndTime=self.at + MINUTE,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def state(self, alarm: str) -> str:
        """An alarm's state."""
        answer = self.client("cloudwatch").describe_alarms(
            AlarmNames=[f"{PROJECT}-{alarm}"], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        (found,) = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
        return str(found["StateValue"])

    def in_alarm(self) -> set[str]:
        """The alarms in ALARM, without the project's name."""
        answer = self.client("cloudwatch").describe_alarms(
            StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        found = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
        return {each["AlarmName"].removeprefix(f"{PROJECT}-") for each in found if each["StateValue"] == "ALARM"}

    def mail(self) -> list[str]:
        """The subjects of what confirmed subscribers were sent."""
        return [str(each["subject"]) for each in self.aws.mail()[self._mail_before :]]

    def task(self, arn: str) -> dict[str, Any]:
        """DescribeTasks of one."""
        (found,) = self.client("ecs").describe_tasks(cluster=catalog.load().cluster, tasks=[arn])["tasks"]
        return dict(found)

    def runs(self, service: str) -> list[dict[str, Any]]:
        """The run ledger's rows of a service, in the order in which they began."""
        columns = "execution_id, scheduled_for, outcome, trigger_arn, image_digest, counts, error_code, attempts"
        statement = f"select {columns} from task_runs where service = %s order by started_at, scheduled_for"  # noqa: S608 (constants)
        with store.connect(self.database.url) as connection:
            rows = connection.execute(statement.encode(), (service,)).fetchall()
        names = columns.split(", ")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def close(self) -> None:
        """Stops what runs."""
        self.plane.close()


def feeds_of(news: list[NewsItem]) -> FeedServer:
    """The news sites."""
    return FeedServer(spread(news), newest=50)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
