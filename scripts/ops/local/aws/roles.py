"""Calls in a role's name: a session token that says whose they are."""

from __future__ import annotations

from ops.local.aws.environment import REGION, settings

PREFIX = "local-session-of:"


def session(url: str, role_arn: str, region: str = REGION) -> dict[str, str]:
    """The variables of a process that has this role's credentials, at the AWS of `url`."""
    return {**settings(url, region), "AWS_SESSION_TOKEN": f"{PREFIX}{role_arn}"}


def role_of(token: str) -> str | None:
    """The ARN of the role whose session the token is; None for any other."""
    return token.removeprefix(PREFIX) if token.startswith(PREFIX) else None
