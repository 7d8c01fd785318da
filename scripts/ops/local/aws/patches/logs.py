"""CloudWatch Logs Insights: saved queries."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.logs.responses import LogsResponse
from moto.moto_api._internal import mock_random

from ops.local.aws.patches.tools import kept, method_of

QUERIES = "query_definitions"


def query_definitions() -> None:
    """PutQueryDefinition, DescribeQueryDefinitions and DeleteQueryDefinition, which moto lacks."""

    @method_of(LogsResponse)
    def put_query_definition(self: Any) -> str:
        known = kept(self.logs_backend, QUERIES)
        identity = self._get_param("queryDefinitionId") or str(mock_random.uuid4())
        known[identity] = {
            "queryDefinitionId": identity,
            "name": self._get_param("name"),
            "queryString": self._get_param("queryString"),
            "logGroupNames": self._get_param("logGroupNames") or [],
            "queryLanguage": self._get_param("queryLanguage") or "CWLI",
            "lastModified": int(time.time() * 1000),
        }
        return json.dumps({"queryDefinitionId": identity})

    @method_of(LogsResponse)
    def describe_query_definitions(self: Any) -> str:
        prefix = self._get_param("queryDefinitionNamePrefix") or ""
        found = [each for each in kept(self.logs_backend, QUERIES).values() if each["name"].startswith(prefix)]
        return json.dumps({"queryDefinitions": found})

    @method_of(LogsResponse)
    def delete_query_definition(self: Any) -> str:
        gone = kept(self.logs_backend, QUERIES).pop(self._get_param("queryDefinitionId"), None)
        return json.dumps({"success": gone is not None})
