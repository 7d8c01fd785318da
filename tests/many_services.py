"""An account with many services: the applied eight, and as many more as wanted, each a copy of one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from healthcheck.place import Place, dashed
from ops.local import applied
from ops.terraform_workspace import Workspace
from pipeline import catalog
from pipeline.catalog import Catalog, Service
from plane_world import PROJECT, Account

MODEL = catalog.load()["classifier"]
ROLE = catalog.load().scheduler_role
INTENT = f"/{PROJECT}-intent/deployment"
COPIED = (
    *("AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "Metrics", "MetricName", "Namespace"),
    *("Statistic", "Dimensions", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"),
    *("ComparisonOperator", "TreatMissingData"),
)


def grown(count: int) -> Catalog:
    """The catalogue with so many services; the further ones touch no table."""
    return catalog.parse(grown_raw(count))


def grown_raw(count: int) -> dict[str, Any]:
    """The same as it is read from a file."""
    raw: dict[str, Any] = yaml.safe_load(catalog.find_file().read_text(encoding="utf-8"))
    for number in range(count - len(raw["services"])):
        raw["services"][f"extra_{number}"] = {
            "purpose": f"Stands for a further service, number {number}.",
            "when_silent": "Nothing else stops.",
            "schedule": f"{PROJECT}-extra-{number}",
            "rate": "rate(5 minutes)",
            "task_definition": f"extra-{number}",
            "deadline_seconds": 240,
            "parameters": ["tickers"],
        }
    return raw


def undeployed(count: int, folder: Path) -> Workspace:
    """ENV=local in `folder` with so many services by its own catalogue and lock, and nothing deployed."""
    raw, file = grown_raw(count), folder / "services.yaml"
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    images = {
        name: {
            "repository": f"{PROJECT}/{name}",
            "digest": f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
            "git_sha": "",
            "built_at": "",
        }
        for name in raw["services"]
    }
    return applied.workspace("local", folder / "work", images, {"catalog_file": str(file)})


def deploy(account: Account, services: Catalog, place: Place) -> None:
    """Makes in the account what the further services need, all by the model's example."""
    further = [service for service in services if service.name not in catalog.load().services]
    copy = _Copy(account, place)
    for service in further:
        copy.make(service)
    copy.permit(further)
    copy.mean(further)


class _Copy:
    """Copies of the model's parts."""

    def __init__(self, account: Account, place: Place) -> None:
        self.account, self.place = account, place
        self.client: Callable[[str], Any] = account.client
        self.schedule = account.schedule(MODEL.name)
        self.definition = account.definition(MODEL.name)
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"})
        names = list(place.service_alarms(MODEL))
        self.alarms = self.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        self.digest = ""

    def make(self, service: Service) -> None:
        self.client("logs").create_log_group(logGroupName=self.place.log_group(service))
        self.client("ecr").create_repository(repositoryName=self.place.repository(service))
        put = self.client("ecr").put_image(repositoryName=self.place.repository(service), imageManifest=self.manifest)
        self.digest = put["image"]["imageId"]["imageDigest"]
        self.client("ssm").put_parameter(
            Name=f"/{PROJECT}/database_url/{service.name}", Value="postgresql://", Type="String"
        )
        roles = [self._role(service, kind) for kind in ("execution", "task")]
        self._start(service, *roles)
        for alarm in self.alarms:
            text = json.dumps({key: alarm[key] for key in COPIED if alarm.get(key) not in (None, [])}, default=str)
            values = json.loads(text.replace(dashed(MODEL), dashed(service)).replace(MODEL.name, service.name))
            name = alarm["AlarmName"].replace(dashed(MODEL), dashed(service))
            self.client("cloudwatch").put_metric_alarm(AlarmName=name, **values)

    def _role(self, service: Service, kind: str) -> str:
        iam, model = self.client("iam"), f"{PROJECT}-{dashed(MODEL)}-{kind}"
        name = f"{PROJECT}-{dashed(service)}-{kind}"
        trust = iam.get_role(RoleName=model)["Role"]["AssumeRolePolicyDocument"]
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        for policy in iam.list_role_policies(RoleName=model)["PolicyNames"]:
            text = json.dumps(self.account.policy(model, policy)).replace(MODEL.name, service.name)
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)
        return arn

    def _start(self, service: Service, execution: str, task: str) -> None:
        container = json.loads(json.dumps(self.definition["containerDefinitions"][0]).replace(MODEL.name, service.name))
        container["image"] = container["image"].partition("@")[0] + f"@{self.digest}"
        made = self.client("ecs").register_task_definition(
            family=service.task_definition,
            executionRoleArn=execution,
            taskRoleArn=task,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[container],
        )
        target = json.loads(json.dumps(self.schedule["Target"]))
        target["EcsParameters"]["TaskDefinitionArn"] = made["taskDefinition"]["taskDefinitionArn"]
        self.client("scheduler").create_schedule_group(Name=service.name)
        self.client("scheduler").create_schedule(
            **{**self.schedule, "Name": service.schedule, "GroupName": service.name, "Target": target}
        )

    def permit(self, services: list[Service]) -> None:
        """The scheduler's role may start them too."""
        (name,) = self.client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]
        document = self.account.policy(ROLE, name)
        for statement in document["Statement"]:
            if "ecs:RunTask" in statement["Action"]:
                statement["Resource"] += [
                    self.place.arn("ecs", f"task-definition/{service.task_definition}:*") for service in services
                ]
            if "iam:PassRole" in statement["Action"]:
                statement["Resource"] += [
                    arn
                    for service in services
                    for arn in (self.place.execution_role_arn(service), self.place.task_role_arn(service))
                ]
        self.account.write_policy(ROLE, name, document)

    def mean(self, services: list[Service]) -> None:
        """What the last apply meant holds their images."""
        ssm = self.client("ssm")
        told = json.loads(ssm.get_parameter(Name=INTENT)["Parameter"]["Value"])
        told["images"] |= {service.name: self.digest.removeprefix("sha256:")[:12] for service in services}
        ssm.put_parameter(Name=INTENT, Value=json.dumps(told), Type="String", Overwrite=True, Tier="Advanced")
