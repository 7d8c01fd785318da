"""How Fargate starts a task: all that must be fetched before its container runs, and the words of each failure.

Sources: ECS developer guide, "Stopped tasks error messages" and "Task lifecycle". The order (registry's token, secrets,
image, log driver) is the one in which stopped tasks show their reasons.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.local.plane.containers import exists
from ops.local.plane.deployed import Deployed, Role
from ops.local.plane.network import Network
from ops.local.plane.permissions import Permissions
from ops.local.plane.run_task import Task

PULL_ACTIONS = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")


class CannotStart(Exception):
    """A task that ends before its container runs; the text is its stopped reason."""


class Fargate:
    """The start of tasks."""

    def __init__(self, deployed: Deployed, permissions: Permissions, network: Network) -> None:
        self.deployed, self.permissions, self.network = deployed, permissions, network

    def prepare(self, task: Task) -> dict[str, str]:
        """The container's environment once the execution role has fetched all; raises CannotStart."""
        role = self._execution_role(task)
        self._require_registry(task, role)
        secrets = dict(self._secrets(task, role))
        self._require_image(task, role)
        self._require_log(task, role)
        given = {each["name"]: each["value"] for each in task.container.get("environment") or ()}
        overridden = {each["name"]: each["value"] for each in task.override.get("environment") or ()}
        return given | overridden | secrets

    def _execution_role(self, task: Task) -> Role | None:
        arn = task.definition.get("executionRoleArn")
        return self.deployed.role(arn) if arn else None

    def _require_registry(self, task: Task, role: Role | None) -> None:
        """The registry's token, which Fargate fetches first."""
        if not _is_ecr(task.container["image"]):
            return
        because = "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr"
        if not self.network.reaches_service(task.placement, "ecr.api"):
            raise CannotStart(
                f"ResourceInitializationError: {because} registry auth: service call has been retried 3 time(s): "
                'RequestError: send request failed caused by: Post "https://api.ecr.'
                f'{task.region}.amazonaws.com/": dial tcp: i/o timeout. Please check your task network configuration.'
            )
        denied = self._denied(task, role, "ecr:GetAuthorizationToken", "*")
        if denied:
            raise CannotStart(
                f"ResourceInitializationError: {because} registry auth: service call has been retried 1 time(s): "
                f"{denied}"
            )

    def _secrets(self, task: Task, role: Role | None) -> Iterator[tuple[str, str]]:
        """(variable, value) of every secret that the definition names."""
        wanted = {each["name"]: each["valueFrom"] for each in task.container.get("secrets") or ()}
        stored = {name: source for name, source in wanted.items() if ":secretsmanager:" not in source}
        failed = "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve"
        if stored and not self.network.reaches_service(task.placement, "ssm"):
            raise CannotStart(
                f"ResourceInitializationError: {failed} secrets from ssm: service call has been retried 5 time(s): "
                "RequestCanceled: request context canceled caused by: context deadline exceeded. Please check your "
                "task network configuration."
            )
        for source in stored.values():
            denied = self._denied(task, role, "ssm:GetParameters", _parameter_arn(source, task))
            if denied:
                raise CannotStart(
                    f"ResourceInitializationError: {failed} secrets from ssm: service call has been retried 1 time(s): "
                    f"{denied}"
                )
        found = self.deployed.parameters(list(stored.values()))
        missing = sorted({source.split(":parameter", 1)[-1] for source in stored.values() if source not in found})
        if missing:
            raise CannotStart(
                f"ResourceInitializationError: {failed} secrets from ssm: service call has been retried 1 time(s): "
                f"fetching secret data from SSM Parameter Store in {task.region}: invalid parameters: "
                f"{', '.join(missing)}"
            )
        for name, source in stored.items():
            refused = self.permissions.may_decrypt(role, found[source], session=task.id) if role else None
            if refused:
                raise CannotStart(
                    f"ResourceInitializationError: {failed} secrets from ssm: service call has been retried 1 time(s): "
                    f"{refused.code}: {refused.message}"
                )
            yield name, found[source].value
        for name, source in wanted.items():
            if name not in stored:
                yield name, self._managed_secret(task, role, source)

    def _managed_secret(self, task: Task, role: Role | None, source: str) -> str:
        """A Secrets Manager secret, or the JSON key of it that the reference ends with (`arn:…:key::`)."""
        arn, key = ":".join(source.split(":")[:7]), next(iter(source.split(":")[7:8]), "")
        failed = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
        denied = self._denied(task, role, "secretsmanager:GetSecretValue", arn)
        if denied:
            raise CannotStart(f"{failed}failed: unable to retrieve secret from asm: {denied}")
        try:
            value: str = self.deployed.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        except ClientError as error:
            raise CannotStart(f"{failed}failed: unable to retrieve secret from asm: {error}") from error
        return str(json.loads(value)[key]) if key else value

    def _require_image(self, task: Task, role: Role | None) -> None:
        image = task.container["image"]
        repository, reference = split_image(image)
        if _is_ecr(image):
            arn = f"arn:aws:ecr:{task.region}:{task.account}:repository/{repository}"
            for action in PULL_ACTIONS:
                denied = self._denied(task, role, action, arn)
                if denied:
                    raise CannotStart(
                        f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {denied}"
                    )
            if not self.deployed.has_image(repository, reference):
                raise CannotStart(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                    f"{image}: {image}: not found"
                )
        if not task.container.get("entryPoint") and not exists(package_of(image)):
            raise CannotStart(
                f"CannotPullContainerError: {image}: this machine has no such image; only images built from this "
                "checkout's images/ run here"
            )

    def _require_log(self, task: Task, role: Role | None) -> None:
        group, stream = task.log_stream
        if not group:
            return
        failed = "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        arn = f"arn:aws:logs:{task.region}:{task.account}:log-group:{group}:log-stream:{stream}"
        denied = self._denied(task, role, "logs:CreateLogStream", arn)
        if denied:
            raise CannotStart(f"{failed}failed to create Cloudwatch log stream: {denied}")
        if not self.deployed.log_group(group):
            raise CannotStart(
                f"{failed}failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group "
                "does not exist. : exit status 1"
            )

    def _denied(self, task: Task, role: Role | None, action: str, resource: str) -> str | None:
        """IAM's sentence where the execution role may not; without a role nothing is asked in its name."""
        if role is None:
            return f"no execution role to call {action} with"
        denied = self.permissions.may(role, action, resource, session=task.id)
        if denied is None:
            return None
        return f"{denied.code}: {denied.message} status code: 400, request id: {uuid.uuid4()}"


def split_image(image: str) -> tuple[str, str]:
    """(repository, digest or tag) of `account.dkr.ecr.region.amazonaws.com/repository@sha256:…`."""
    path = image.split("/", 1)[1] if "/" in image and "." in image.split("/", 1)[0] else image
    if "@" in path:
        repository, _, reference = path.partition("@")
        return repository.split(":", 1)[0], reference
    repository, _, tag = path.partition(":")
    return repository, tag or "latest"


def package_of(image: str) -> str:
    """The folder that the image was built from: the last part of its repository."""
    return split_image(image)[0].rsplit("/", 1)[-1]


def _is_ecr(image: str) -> bool:
    return ".dkr.ecr." in image.split("/", 1)[0]


def _parameter_arn(source: str, task: Task) -> str:
    if source.startswith("arn:"):
        return source
    return f"arn:aws:ssm:{task.region}:{task.account}:parameter/{source.removeprefix('/')}"
