"""Regions that are gone: whoever asks one of them is told what a region in trouble tells, and nothing happens there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Credential=KEY/20260126/us-west-2/ecs/aws4_request: where a request goes is part of what signs it.
SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
# They have no region, or answer in any: whatever their requests are signed for.
GLOBAL = frozenset(("iam", "sts", "budgets"))
BODY = b"<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message>It is lost.</Message></Error></ErrorResponse>"


class Outage:
    """Which regions do not answer."""

    regions: frozenset[str] = frozenset()

    def hits(self, environ: Mapping[str, Any]) -> bool:
        """Whether this request (WSGI) goes to one of them."""
        if not self.regions:
            return False
        found = SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
        return bool(found and found.group(1) in self.regions and found.group(2) not in GLOBAL)


OUTAGE = Outage()
