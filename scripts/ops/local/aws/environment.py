"""The environment that leads aws, boto3 and terraform to the local AWS and nowhere else."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

REGION = "us-west-2"
ACCOUNT = "123456789012"  # moto's, for every key it does not know

# What a shell may carry that would lead a client to a real account, or stop it before the first call.
FOREIGN = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",  # plain http needs none, and one that names a missing file stops every client
)
PER_SERVICE = "AWS_ENDPOINT_URL_"  # stronger than AWS_ENDPOINT_URL


def settings(url: str, region: str = REGION) -> dict[str, str]:
    """The variables to set for the AWS at `url`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PAGER": "",
    }


def to_unset(environ: Mapping[str, str]) -> list[str]:
    """The variables of `environ` that must go."""
    return sorted(name for name in environ if name in FOREIGN or name.startswith(PER_SERVICE))


def merged(environ: Mapping[str, str], url: str, region: str = REGION) -> dict[str, str]:
    """`environ` turned to the AWS at `url`; loopback goes past any proxy."""
    gone = set(to_unset(environ))
    kept = {name: value for name, value in environ.items() if name not in gone}
    return {**kept, **settings(url, region), **_past_proxies(environ)}


def exports(environ: Mapping[str, str], url: str, region: str = REGION) -> str:
    """Shell lines for `eval`: what to unset, what to export."""
    lines = [f"unset {name}" for name in to_unset(environ)]
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in {**settings(url, region), **_past_proxies(environ)}.items()
    ]
    return "\n".join(lines)


def _past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY with 127.0.0.1 in it, where a proxy is set at all: botocore would ask the proxy for loopback."""
    if not any(name.lower() in {"http_proxy", "all_proxy"} for name in environ):
        return {}
    names = [name for name in environ if name.lower() == "no_proxy"] or ["NO_PROXY"]
    return {name: ",".join(filter(None, (environ.get(name), "127.0.0.1"))) for name in names}
