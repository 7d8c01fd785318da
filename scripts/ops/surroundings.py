"""Where an operator's command finds things: the shell's environment first, else the account's parameter store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.drift_live import Clients
from pipeline import catalog, settings
from pipeline.catalog import Catalog
from pipeline.errors import ConfigInvalid

DATABASE_URL = "DATABASE_URL"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The account and the values that a command works with. `environ` is the shell's."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    catalog: Catalog = field(default_factory=catalog.load)

    @cached_property
    def clients(self) -> Clients:
        """boto3 clients of the account that `environ` leads to, in its region or the catalogue's."""
        import boto3

        session = boto3.session.Session(
            region_name=self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION") or self.catalog.region,
            profile_name=self.environ.get("AWS_PROFILE"),
            aws_access_key_id=self.environ.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.environ.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.environ.get("AWS_SESSION_TOKEN"),
        )
        return Clients(make=partial(session.client, endpoint_url=self.environ.get("AWS_ENDPOINT_URL") or None))

    def database_url(self, service: str) -> str:
        """The shell's DATABASE_URL, else the service's own address. Raises ConfigInvalid."""
        return self.environ.get(DATABASE_URL) or self.stored(f"database_url/{service}")

    def value(self, name: str) -> str:
        """A parameter or secret of the catalogue as a task would have it. Raises ConfigInvalid."""
        variable = self.catalog.parameters[name].env
        return self.environ.get(variable) or self.stored(name)

    def environment_of(self, service: str) -> dict[str, str]:
        """The environment that a run of the service would have; endpoints are the shell's. Raises ConfigInvalid."""
        wanted = {parameter.env: self.value(parameter.name) for parameter in self.catalog[service].environment}
        return {**self.environ, **wanted, DATABASE_URL: self.database_url(service)}

    def values_of(self, service: str) -> settings.Values:
        """The service's parameters, parsed. Raises ConfigInvalid."""
        return settings.read(self.environment_of(service), self.catalog[service])

    def stored(self, name: str) -> str:
        """A value of the parameter store below the project's path. Raises ConfigInvalid naming it."""
        path = f"/{self.catalog.project}/{name}"
        try:
            found: Any = self.clients("ssm").get_parameter(Name=path, WithDecryption=True)
        except (ClientError, BotoCoreError) as error:
            raise ConfigInvalid(
                f"{path}: neither in the environment nor in the parameter store: {error}; log in (aws sso login), or "
                'lead the shell to the local AWS: eval "$(scripts/local-aws env)"'
            ) from error
        return str(found["Parameter"]["Value"])
