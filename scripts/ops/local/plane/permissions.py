"""What AWS would permit for what the plane does in a role's name; each answer is IAM's own sentence where it is no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healthcheck import iam
from healthcheck.iam import Context, Policies, Policy, Request
from ops.local.plane.deployed import Deployed, Parameter, Role


@dataclass(frozen=True, kw_only=True)
class Denied:
    """A refusal: the API's error code and its message."""

    code: str
    message: str


class Permissions:
    """IAM over what is deployed."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed

    def assume(self, role_arn: str, service: str, source_arn: str) -> Role | Denied:
        """The role as an AWS service takes it for the resource `source_arn`, or why it may not."""
        role = self.deployed.role(role_arn)
        if role is None:
            return Denied(code="AccessDeniedException", message=f"The role {role_arn} does not exist.")
        account = role_arn.split(":")[4]
        context = Context.of({"aws:SourceAccount": account, "aws:SourceArn": source_arn})
        decision = iam.may_assume(role.trust, service, context, role_arn=role_arn)
        if decision:
            return role
        return Denied(
            code="AccessDeniedException",
            message=f"{service} is not authorized to assume the role {role_arn}: its trust policy does not let it.",
        )

    def may(
        self,
        role: Role,
        action: str,
        resource: str,
        keys: Mapping[str, str] | None = None,
        *,
        resource_policy: Policy | None = None,
        session: str = "session",
    ) -> Denied | None:
        """None where the role may do it, else the refusal as AWS words it."""
        request = Request(
            principal=iam.role(role.arn, session=session),
            action=action,
            resource=resource,
            context=Context.of({"aws:SecureTransport": "true", **(keys or {})}),
        )
        policies = Policies(identity=role.policies.identity, boundary=role.policies.boundary, resource=resource_policy)
        decision = iam.evaluate(request, policies)
        return None if decision else Denied(code="AccessDeniedException", message=decision.message)

    def may_decrypt(self, role: Role, parameter: Parameter, *, session: str = "session") -> Denied | None:
        """Whether the role may have a SecureString in the clear: KMS asks key state, key policy and role."""
        if not parameter.key or parameter.key == "alias/aws/ssm":  # AWS's own key lets everyone of the account
            return None
        key = self.deployed.key(parameter.key)
        if key is None:
            return Denied(code="InvalidKeyId", message=f"Invalid keyId '{parameter.key}'")
        if not key.enabled:
            return Denied(code="InvalidKeyId", message=f"{key.arn} is disabled.")
        keys = {"kms:EncryptionContext:PARAMETER_ARN": parameter.arn}
        denied = self.may(role, "kms:Decrypt", key.arn, keys, resource_policy=key.policy, session=session)
        if denied:
            return Denied(
                code="AccessDeniedException",
                message="The ciphertext refers to a customer master key that does not exist, does not exist in this "
                f"region, or you are not allowed to access. ({denied.message})",
            )
        return None

    def service_may(self, service: str, action: str, resource: str, policy: Policy | None) -> Denied | None:
        """Whether a resource's own policy lets an AWS service do it (CloudWatch publish to a topic, say)."""
        account = resource.split(":")[4]
        request = Request(
            principal=iam.service(service),
            action=action,
            resource=resource,
            context=Context.of({"aws:SourceAccount": account, "aws:SecureTransport": "true"}),
        )
        decision = iam.evaluate(request, Policies(resource=policy))
        return None if decision else Denied(code="AuthorizationError", message=decision.message)
