"""Policies as moto evaluates them."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicyStatement, PermissionResult

from ops.local.aws.patches.tools import around


def secure_transport_is_no_denial() -> None:
    """The statement `deny unless aws:SecureTransport` denies calls without TLS; moto does not know the condition.

    It then denies everything, Terraform's own state included. Loopback counts as secure here.
    """

    @around(IAMPolicyStatement, "is_action_permitted")
    def is_action_permitted(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        condition = json.dumps(self._statement.get("Condition", {}))
        if self._statement.get("Effect") == "Deny" and "aws:SecureTransport" in condition:
            return PermissionResult.NEUTRAL
        return original(self, *args, **kwargs)
