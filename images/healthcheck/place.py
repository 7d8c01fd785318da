"""What the catalogue's services are called on AWS: the names and ARNs that Terraform gives them, from the entry."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.catalog import Catalog, Service
from pipeline.errors import ConfigInvalid

# Cron has no half hours: 09:00 to 16:59 in New York is the tightest cover of a session (terraform/modules/catalog).
MARKET_HOURS = "9-16 ? * MON-FRI *"
NEW_YORK = "America/New_York"
LEAST_EVENT_AGE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Place:
    """An account and region, and the project in it. One account holds one environment, so names do not repeat it."""

    project: str
    account: str
    region: str
    cluster: str
    scheduler_role: str
    partition: str = "aws"

    @classmethod
    def of(cls, catalog: Catalog, arn: str) -> Place:
        """The place that any regional ARN of the account lies in. Raises ConfigInvalid where it is none."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[3] or not parts[4]:
            raise ConfigInvalid(f"{arn!r} is no ARN with a region and an account")
        return cls(
            project=catalog.project,
            account=parts[4],
            region=parts[3],
            cluster=catalog.cluster,
            scheduler_role=catalog.scheduler_role,
            partition=parts[1],
        )

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def cluster_arn(self) -> str:
        return self.arn("ecs", f"cluster/{self.cluster}")

    @property
    def scheduler_role_arn(self) -> str:
        return self.role_arn(self.scheduler_role)

    def role_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def execution_role_arn(self, service: Service) -> str:
        return self.role_arn(f"{self.project}-{dashed(service)}-execution")

    def task_role_arn(self, service: Service) -> str:
        return self.role_arn(f"{self.project}-{dashed(service)}-task")

    def schedule_arn(self, service: Service) -> str:
        return self.arn("scheduler", f"schedule/{service.name}/{service.schedule}")

    def schedule_group_arn(self, group: str) -> str:
        return self.arn("scheduler", f"schedule-group/{group}")

    def function_arn(self, service: Service) -> str:
        return self.arn("lambda", f"function:{service.task_definition}")

    @property
    def topic_arn(self) -> str:
        return self.arn("sns", f"{self.project}-alarms")

    @property
    def queue(self) -> str:
        return f"{self.project}-dead-letters"

    @property
    def queue_arn(self) -> str:
        return self.arn("sqs", self.queue)

    @property
    def records(self) -> str:
        """The bucket of the status page and of the runbooks' journals."""
        return f"{self.project}-records-{self.account}-{self.region}"

    @property
    def parameters_path(self) -> str:
        return f"/{self.project}/"

    def repository(self, service: Service) -> str:
        return f"{self.project}/{service.name}"

    def log_group(self, service: Service) -> str:
        return f"/ecs/{self.project}/{service.name}"

    @property
    def stopped_tasks_log(self) -> str:
        return f"/aws/events/{self.project}/stopped-tasks"

    def service_alarms(self, service: Service) -> tuple[str, ...]:
        """The alarms that every service has."""
        return tuple(f"{self.project}-{dashed(service)}-{kind}" for kind in ("silent", "failing", "not-started"))


def dashed(service: Service) -> str:
    """The name as roles and alarms spell it."""
    return service.name.replace("_", "-")


def expression(service: Service) -> str:
    """The schedule expression that Terraform computes from the rate."""
    if not service.market_hours_only:
        return service.rate
    minutes = int(service.period.total_seconds() // 60)
    if minutes == 1:
        return f"cron(* {MARKET_HOURS})"
    return f"cron(0/{minutes} {MARKET_HOURS})" if minutes < 60 else "cron(0 9-17 ? * MON-FRI *)"


def timezone(service: Service) -> str:
    return NEW_YORK if service.market_hours_only else "UTC"
