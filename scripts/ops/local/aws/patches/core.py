"""What is wrong with moto in every service."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import BaseResponse

from ops.local.aws.patches.tools import around


def unimplemented_answers_501() -> None:
    """AWS knows all its actions; moto answers 500 to one that it lacks, which SDKs retry (Terraform for 9 minutes).

    501 is not retried, and its text names the action.
    """

    @around(BaseResponse, "call_action")
    def call_action(original: Any, self: BaseResponse) -> Any:
        try:
            return original(self)
        except NotImplementedError as error:
            message = f"{self.service_name}: {error}"
            return 501, {"status": "501"}, json.dumps({"__type": "NotImplemented", "message": message})
