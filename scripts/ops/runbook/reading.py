"""Looking without touching: AWS clients that refuse to change anything, and transactions that cannot write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from ops import clock
from ops.runbook.errors import MutatingCall, Refused
from ops.runbook.secrecy import Veil
from pipeline import catalog, store
from pipeline.catalog import Catalog
from pipeline.errors import DatabaseUnreachable
from pipeline.settings import Secret
from pipeline.store import Connection

# Narrower than what CloudTrail calls read-only: to receive a message hides it, to assume a role is more than to look.
READS = re.compile(r"(Describe|List|Get|BatchGet|Head|Lookup|Filter|Simulate)[A-Z]")
DATABASE_URL = "DATABASE_URL"


@dataclass(kw_only=True)
class Look:
    """What checks and rehearsals are given. Nothing that can be had from here changes anything.

    `run` names this run, resumed or not; `options` are the runbook's own, `facts` what its acts have noted, in this run
    or in the one that it resumes; `secrets` are kept in memory alone. `environ` is the shell's, led to the account.
    """

    environment: str
    environ: Mapping[str, str]
    run: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    veil: Veil = field(default_factory=Veil)
    catalog: Catalog = field(default_factory=catalog.load)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def now(self) -> datetime:
        """The time, UTC; the local cloud's where that keeps it."""
        return clock.now(self.environ)

    @property
    def region(self) -> str:
        return self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION") or self.catalog.region

    @cached_property
    def account(self) -> str:
        """The account's number. Raises Refused where the shell has no credentials that work."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except (ClientError, BotoCoreError) as error:
            raise Refused(f"no AWS account: {error}; log in (aws sso login)") from error

    def client(self, service: str, region: str | None = None, *, hurried: bool = False) -> Any:
        """A boto3 client whose every call that is no read raises MutatingCall before it leaves. A `hurried` one takes
        a region that does not answer within seconds for one that is gone."""
        key = (f"{service} hurried" if hurried else service, region or self.region)
        if key not in self._clients:
            client = make_client(self.environ, service, key[1], hurried=hurried)
            client.meta.events.register_first("provide-client-params.*.*", refuse_changes)
            self._clients[key] = client
        return self._clients[key]

    @contextmanager
    def database(self, url: Secret | None = None) -> Iterator[Connection]:
        """A read-only transaction in the pipeline's database, or in that of `url`. Raises Refused without one."""
        with connected(url or self.database_url()) as connection, connection.transaction():
            # the select makes it final: after its first query a transaction cannot be made one that writes
            connection.execute("set transaction read only")
            connection.execute("select 1")
            yield connection

    def database_url(self) -> Secret:
        """The shell's DATABASE_URL, else the master's address of the account's RDS instance. Raises Refused."""
        if self.environ.get(DATABASE_URL):
            return self.veil.secret(self.environ[DATABASE_URL])
        return self._master_url()

    def _master_url(self) -> Secret:
        try:
            found = self.client("rds").describe_db_instances(DBInstanceIdentifier=self.catalog.project)
            instance = found["DBInstances"][0]
            arn = instance["MasterUserSecret"]["SecretArn"]
            held = self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        except (ClientError, BotoCoreError, KeyError, IndexError) as error:
            raise Refused(
                f"no way to the database: {DATABASE_URL} is not set, and the account tells none ({error}); set it to "
                "an address that this machine reaches (a tunnel, a VPN, CloudShell in the VPC)"
            ) from error
        return self.veil.secret(_address(instance, held, self._sslmode))

    @property
    def _sslmode(self) -> str:
        """Where this machine plays the account, its server may know no TLS."""
        return (self.environ.get("PGSSLMODE") if self.environ.get("AWS_ENDPOINT_URL") else None) or "verify-full"


def _address(instance: Mapping[str, Any], held: str, sslmode: str) -> str:
    master = json.loads(held)
    endpoint = instance["Endpoint"]
    login = f"{quote(master['username'], safe='')}:{quote(master['password'], safe='')}"
    return f"postgresql://{login}@{endpoint['Address']}:{endpoint['Port']}/{instance['DBName']}?sslmode={sslmode}"


@contextmanager
def connected(url: Secret, role: str | None = None) -> Iterator[Connection]:
    """A connection of the operator's. Raises Refused where the database cannot be reached."""
    try:
        connection = store.connect(url.reveal(), role=role, name="runbook")
    except DatabaseUnreachable as error:
        raise Refused(f"the database cannot be reached: {error}") from error
    with connection:
        yield connection


def is_no_answer(error: Exception) -> bool:
    """Whether AWS did not answer, or with an error of its own: nothing is said of what it was asked."""
    if isinstance(error, ClientError):
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500)
    return isinstance(error, HTTPClientError | ConnectionError)


def make_client(environ: Mapping[str, str], service: str, region: str, *, hurried: bool = False) -> Any:
    """A boto3 client of the account that the environment leads to, whatever this process's own says."""
    from botocore.config import Config

    patience = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}) if hurried else None
    names = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    session = _session(*(environ.get(name) for name in names))
    return session.client(
        service, region_name=region, endpoint_url=environ.get("AWS_ENDPOINT_URL") or None, config=patience
    )


@cache
def _session(profile: str | None, key_id: str | None, secret_key: str | None, token: str | None) -> Any:
    """One for all clients: each session reads boto3's descriptions of the services anew."""
    import boto3

    return boto3.session.Session(
        profile_name=profile, aws_access_key_id=key_id, aws_secret_access_key=secret_key, aws_session_token=token
    )


def refuse_changes(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    """botocore asks it before each call; it raises MutatingCall unless the operation only reads."""
    if not READS.match(model.name):
        service = model.service_model.service_name
        raise MutatingCall(
            f"{service}:{model.name} would change something, and here one only looks; put it into an act"
        )
