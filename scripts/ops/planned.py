"""What an account will be once a plan is applied, as parts that the checks judge: its values laid over what is live.

A value that only the apply brings to light (an ARN of what is not there yet) is taken to be as declared, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthcheck import iam
from healthcheck.aws import intent as intents
from healthcheck.aws.alarms import Alarm, Alarms
from healthcheck.aws.definitions import Definition, Definitions
from healthcheck.aws.functions import Function, Functions
from healthcheck.aws.images import Images
from healthcheck.aws.intent import Intent
from healthcheck.aws.logs import LogGroups
from healthcheck.aws.parameters import Parameter, Parameters
from healthcheck.aws.roles import Role, Roles
from healthcheck.aws.topics import Topics
from healthcheck.aws.triggers import Schedule, Target, Triggers
from healthcheck.iam import MalformedPolicy, Policies
from healthcheck.place import Place
from healthcheck.reach import Placement
from ops.terraform_plan import PlanRefused
from pipeline.catalog import Catalog, Service

Values = Mapping[str, Any]
# A policy whose text only the apply brings to light refuses nothing beforehand.
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(kw_only=True)
class Planned:
    """A plan's resources. `unknown` counts the values that stand in for what the apply will tell, by what they are."""

    document: Values
    catalog: Catalog
    place: Place
    now: datetime
    unknown: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> Iterator[Values]:
        """The values of every managed resource of a type, as they will be."""
        root = self.document.get("planned_values", {}).get("root_module", {})
        yield from (each["values"] for each in _walk(root) if each["type"] == kind and each["mode"] == "managed")

    def deleted(self, kind: str) -> Iterator[Values]:
        """The values of those that will be gone."""
        for change in self.document.get("resource_changes", []):
            if change["type"] == kind and change["change"]["actions"] == ["delete"]:
                yield change["change"]["before"]

    def known(self, value: Any, otherwise: Any, what: str) -> Any:
        """The value, or what stands in for one that is not known yet."""
        if value not in (None, "", []):
            return value
        self.unknown[what] = self.unknown.get(what, 0) + 1
        return otherwise

    # ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def parts(self, live: Mapping[type, object]) -> dict[type, object]:
        """Every part that the plan changes; parts that could not be read stay so where the plan alone cannot tell."""
        found: dict[type, object] = {
            **live,
            Definitions: self._definitions(live.get(Definitions)),
            Functions: Functions(functions={each.name: each for each in self._functions()}),
            Alarms: Alarms(alarms={each.name: each for each in self._alarms()}),
        }
        if text := next((each.get("insecure_value") for each in self._named_parameters(self._intent_name)), None):
            found[Intent] = intents.parse(text, self.now)
        for kind, made in ((Triggers, self._triggers), (Roles, self._roles), (Parameters, self._parameters),
                           (Images, self._images), (LogGroups, self._logs), (Topics, self._topics)):  # fmt: skip
            if isinstance(live.get(kind), kind):
                found[kind] = made(live[kind])
        return found

    @property
    def _intent_name(self) -> str:
        return intents.parameter(self.place)

    def _named_parameters(self, name: str) -> Iterator[Values]:
        yield from (each for each in self.of("aws_ssm_parameter") if each.get("name") == name)

    def _triggers(self, live: Any) -> Triggers:
        """The planned schedules, and those live ones that nobody declares and nobody deletes."""
        planned = {(each.group, each.name): each for each in map(self._schedule, self.of("aws_scheduler_schedule"))}
        gone = {(each.get("group_name"), each.get("name")) for each in self.deleted("aws_scheduler_schedule")}
        stay = [each for each in live.schedules if (each.group, each.name) not in {*planned, *gone}]
        rules = {each.get("name") for each in self.deleted("aws_cloudwatch_event_rule")}
        return Triggers(
            schedules=(*planned.values(), *stay),
            rules=tuple(each for each in live.rules if each.name not in rules),
            groups=tuple(str(each["name"]) for each in self.of("aws_scheduler_schedule_group")),
        )

    def _schedule(self, values: Values) -> Schedule:
        window = (values.get("flexible_time_window") or [{}])[0]
        group = str(values.get("group_name") or "default")
        return Schedule(
            name=str(values["name"]),
            group=group,
            arn=self.place.arn("scheduler", f"schedule/{group}/{values['name']}"),
            enabled=values.get("state") != "DISABLED",
            expression=str(values["schedule_expression"]),
            timezone=str(values.get("schedule_expression_timezone") or "UTC"),
            window_minutes=int(window.get("maximum_window_in_minutes") or 0) if window.get("mode") == "FLEXIBLE" else 0,
            start=_time(values.get("start_date")),
            end=_time(values.get("end_date")),
            created_at=self.now,
            modified_at=self.now,
            target=self._target(values["target"][0], self.catalog.services.get(group)),
        )

    def _target(self, values: Values, service: Service | None) -> Target:
        task: Values = (values.get("ecs_parameters") or [{}])[0]
        network: Values = (task.get("network_configuration") or [{}])[0]
        letters: Values = (values.get("dead_letter_config") or [{}])[0]
        retry: Values = (values.get("retry_policy") or [{}])[0]
        arn = self.place.cluster_arn if task else self.place.function_arn(service) if service else ""
        family = service.task_definition if service else ""
        return Target(
            arn=self.known(values.get("arn"), arn, "targets"),
            role_arn=self.known(values.get("role_arn"), self.place.scheduler_role_arn, "roles"),
            definition=self.known(task.get("task_definition_arn"), family, "revisions") if task else "",
            placement=Placement(
                subnets=tuple(network.get("subnets") or ()),
                groups=tuple(network.get("security_groups") or ()),
                public_ip=bool(network.get("assign_public_ip")),
            ),
            launch_type=str(task.get("launch_type") or ""),
            tags_propagated=bool(task.get("propagate_tags") or task.get("enable_ecs_managed_tags")),
            dead_letter_arn=self.known(letters.get("arn"), self.place.queue_arn, "queues") if letters or task else "",
            retries=retry.get("maximum_retry_attempts"),
            event_age_seconds=retry.get("maximum_event_age_in_seconds"),
        )

    def _definitions(self, live: object) -> Definitions:
        clusters = dict(live.clusters) if isinstance(live, Definitions) else {}
        made = [self._definition(each) for each in self.of("aws_ecs_task_definition")]
        return Definitions(
            active={each.family: (each.arn,) for each in made},
            described={each.arn: each for each in made},
            clusters={**clusters, **{str(each["name"]): "ACTIVE" for each in self.of("aws_ecs_cluster")}},
        )

    def _definition(self, values: Values) -> Definition:
        (container, *_) = json.loads(values.get("container_definitions") or "[{}]")
        family = str(values["family"])
        revision = int(self.known(values.get("revision"), 1, "revisions"))
        service = next((each for each in self.catalog if each.task_definition == family), None)
        own = (self.place.execution_role_arn(service), self.place.task_role_arn(service)) if service else ("", "")
        return Definition(
            arn=self.place.arn("ecs", f"task-definition/{family}:{revision}"),
            family=family,
            revision=revision,
            registered_at=None,
            registered_by="",
            container=str(container.get("name", "")),
            image=str(container.get("image", "")),
            cpu=int(values.get("cpu") or 0),
            memory=int(values.get("memory") or 0),
            execution_role_arn=self.known(values.get("execution_role_arn"), own[0], "roles"),
            task_role_arn=self.known(values.get("task_role_arn"), own[1], "roles"),
            secrets={each["name"]: each["valueFrom"] for each in container.get("secrets") or ()},
            environment={each["name"]: each["value"] for each in container.get("environment") or ()},
            log_group=((container.get("logConfiguration") or {}).get("options") or {}).get("awslogs-group", ""),
        )

    def _functions(self) -> Iterator[Function]:
        for values in self.of("aws_lambda_function"):
            name = str(values["function_name"])
            service = next((each for each in self.catalog if each.task_definition == name), None)
            variables = ((values.get("environment") or [{}])[0] or {}).get("variables") or {}
            yield Function(
                name=name,
                arn=self.place.arn("lambda", f"function:{name}"),
                role_arn=self.known(values.get("role"), self.place.task_role_arn(service) if service else "", "roles"),
                image=str(values.get("image_uri") or ""),
                state="Active",
                state_reason="",
                update_status="Successful",
                modified_at=None,
                memory=int(values.get("memory_size") or 0),
                timeout_seconds=int(values.get("timeout") or 0),
                environment=variables,
                parameters=json.loads(variables.get("PARAMETERS") or "{}"),
            )

    def _roles(self, live: Any) -> Roles:
        """Live roles, and over them the planned ones with all inline policies that the plan gives them."""
        policies: dict[str, list[Any]] = {}
        for each in self.of("aws_iam_role_policy"):
            text = self.known(each.get("policy"), ANYTHING, "policies")
            policies.setdefault(str(each.get("role")), []).append((each.get("name"), text))
        roles = dict(live.roles)
        for gone in self.deleted("aws_iam_role"):
            roles.pop(str(gone.get("arn")), None)
        for values in self.of("aws_iam_role"):
            name = str(values["name"])
            arn = str(values.get("arn") or self.place.role_arn(name))
            kept = live.roles[arn].policies.boundary if arn in live.roles else None
            roles[arn] = Role(
                arn=arn,
                name=name,
                trust=_policy(values.get("assume_role_policy") or ANYTHING, "trust policy"),
                policies=Policies(
                    identity=tuple(_policy(text, str(title)) for title, text in policies.get(name, ())), boundary=kept
                ),
            )
        return Roles(roles=roles)

    def _parameters(self, live: Any) -> Parameters:
        """What is stored, and what the plan stores; what it deletes is gone."""
        gone = {str(each.get("name")) for each in self.deleted("aws_ssm_parameter")}
        made = {
            str(each["name"]): Parameter(
                name=str(each["name"]),
                arn=self.place.arn("ssm", f"parameter{each['name']}"),
                type=str(each.get("type")),
                version=1,
                modified_at=self.now,
                modified_by="",
                key="",
            )
            for each in self.of("aws_ssm_parameter")
            if str(each["name"]).startswith(self.place.parameters_path)
        }
        stay = {name: each for name, each in live.parameters.items() if name not in gone}
        return Parameters(parameters={**made, **stay}, keys=live.keys, values=live.values)

    def _images(self, live: Any) -> Images:
        made = {str(each["name"]): () for each in self.of("aws_ecr_repository")}
        return Images(repositories={**made, **live.repositories})

    def _logs(self, live: Any) -> LogGroups:
        return LogGroups(names=live.names | {str(each["name"]) for each in self.of("aws_cloudwatch_log_group")})

    def _topics(self, live: Any) -> Topics:
        return live if live.subscriptions is not None else Topics(topic_arn=self.place.topic_arn, subscriptions=())

    def _alarms(self) -> Iterator[Alarm]:
        for kind in ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
            for values in self.of(kind):
                unknown = "alarm_actions" not in values
                yield Alarm(
                    name=str(values["alarm_name"]),
                    state="",
                    state_since=None,
                    changed_at=None,
                    actions=(self.place.topic_arn,) if unknown else tuple(values["alarm_actions"] or ()),
                    actions_enabled=values.get("actions_enabled") is not False,
                    missing_data=str(values.get("treat_missing_data") or ("missing" if "metric" in kind else "")),
                    rule=str(values.get("alarm_rule") or ""),
                )


def read(path: Path) -> Values:
    """The plan's JSON. Raises PlanRefused where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if "planned_values" not in document or "resource_changes" not in document:
            raise ValueError("neither planned_values nor resource_changes")
    except (ValueError, TypeError) as error:
        raise PlanRefused(f"{path} is not what `terraform show -json PLAN` prints: {error}") from error
    return dict(document)


def _walk(module: Values) -> Iterator[Values]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _walk(child)


def _policy(document: Any, name: str) -> iam.Policy:
    """A policy that is none allows nothing."""
    try:
        return iam.policy(document, name=name)
    except MalformedPolicy:
        return iam.Policy(name=f"{name} (malformed)", statements=())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
