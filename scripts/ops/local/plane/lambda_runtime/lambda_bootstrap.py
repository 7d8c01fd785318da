"""One invocation of a Lambda's handler: what the runtime interface client does in the image, without the service."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace


def main() -> None:
    """Calls the handler with the event; the answer, or the error as Lambda words it, goes into a file."""
    module, _, function = os.environ["_HANDLER"].rpartition(".")
    event = json.loads(os.environ.pop("LAMBDA_EVENT"))
    answer = Path(os.environ.pop("LAMBDA_ANSWER"))
    context = SimpleNamespace(
        aws_request_id=os.environ.pop("LAMBDA_REQUEST_ID"),
        function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        invoked_function_arn=os.environ.pop("LAMBDA_FUNCTION_ARN", ""),
    )
    try:
        result = getattr(importlib.import_module(module), function)(event, context)
        answer.write_text(json.dumps({"result": result}), encoding="utf-8")
    except Exception as error:  # noqa: BLE001 (the service reports whatever the handler raises)
        told = {"errorType": type(error).__name__, "errorMessage": str(error)}
        print(f"[ERROR] {told['errorType']}: {told['errorMessage']}")
        traceback.print_exc(file=sys.stdout)
        answer.write_text(json.dumps({"error": told}), encoding="utf-8")
        sys.exit(1)


if __name__ == "__main__":
    main()
