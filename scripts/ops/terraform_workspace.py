"""One environment's Terraform: led to its account or to the local AWS, its plan reviewed before it is applied."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import click

from ops import images_lock, state_bucket, terraform_cli, terraform_plan, terraform_process
from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT, REGION
from ops.terraform_plan import PlanFiles, PlanRefused, Record
from ops.terraform_process import Ended
from pipeline import catalog
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
LOCAL = "local"  # the one environment that is no account
LOCK_SECONDS = 20
# A runbook that was killed leaves a Terraform that ends what it is at, and then gives its lock back.
PATIENT_LOCK_SECONDS = 900
# Most of an apply is waiting inside the provider; at terraform's 10 the waiting ones keep the rest from their turn.
PARALLELISM = 30
FIRST = "module.delivery"  # all that needs no image's digest, and what images are pushed to
CHANGES = 2  # how `plan -detailed-exitcode` ends where there are some
# Terraform and its AWS provider read a schema of many megabytes with each command, and spend a quarter of their CPU on
# Go's garbage collector; up to this size of a process it may wait.
FEWER_COLLECTIONS = {"GOGC": "1000", "GOMEMLIMIT": "1GiB"}
# The state of another environment must not slip in through the shell; the arguments of a plan are ours to give.
NOT_INHERITED = ("TF_WORKSPACE", "TF_DATA_DIR", "TF_CLI_ARGS", "TF_LOG_PROVIDER_JSON")


class TerraformFailed(PipelineError):
    """terraform ended with an error, which it has shown itself."""


class Refused(PipelineError):
    """What was asked would be unsafe."""


def environments() -> list[str]:
    """The names that --env takes."""
    return sorted(path.stem for path in (TERRAFORM / "environments").glob("*.tfvars"))


@dataclass(kw_only=True)
class Workspace:
    """The root module as one environment's: where its files lie, what it is told, which AWS it speaks to.

    `aws` is the local AWS that stands in for the account; without it the shell's credentials count. `work` holds plan,
    provider links and CLI configuration (`.local/<environment>`). `account` is asked for where it is not given.
    `region` is where it is deployed to and where its state lies, by default what its backend's file says. Applies that
    `finish` go on to their end though we are interrupted or killed; who comes next waits for the state's lock.
    """

    environment: str
    aws: LocalAws | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    terraform: Path = TERRAFORM
    work: Path = Path()
    variables: Mapping[str, Any] = field(default_factory=dict)
    shown: bool = True
    account: str = ""
    lock_seconds: int = LOCK_SECONDS
    region: str = ""
    finish: bool = False

    def __post_init__(self) -> None:
        if self.work == Path():
            self.work = ROOT / ".local" / self.environment
        if not self.settings.is_file():
            raise click.UsageError(f"no environment {self.environment!r}; there are: {', '.join(environments())}")
        self.region = self.region or self._settled_region()
        self.work.mkdir(parents=True, exist_ok=True)

    def _settled_region(self) -> str:
        told = re.search(r'^region\s*=\s*"([^"]+)"', self.backend.read_text(encoding="utf-8"), re.MULTILINE)
        return told.group(1) if told else catalog.load().region

    @property
    def settings(self) -> Path:
        """The environment's variables."""
        return self.terraform / "environments" / f"{self.environment}.tfvars"

    @property
    def backend(self) -> Path:
        """Where its state lies."""
        return self.terraform / "environments" / f"{self.environment}.backend.hcl"

    @cached_property
    def state_bucket(self) -> str:
        """Made by terraform/bootstrap, named after the account."""
        account = ACCOUNT if self.aws else self.account or _caller_account(self.environ)
        return state_bucket.name(catalog.load(), account, self.region)

    @property
    def files(self) -> PlanFiles:
        """Its plan."""
        return PlanFiles(folder=self.work)

    @cached_property
    def command(self) -> list[str]:
        """What terraform is on this machine."""
        return terraform_cli.find(self.environ)

    @cached_property
    def lock_file(self) -> Path:
        """The images that it deploys: the committed lock, completed for the local AWS by what was not built."""
        if self.aws is None:
            return images_lock.COMMITTED
        services = [service.name for service in catalog.load()]
        built_here = images_lock.load(images_lock.LOCAL)
        images_lock.write(images_lock.complete(services, images_lock.load(), built_here), images_lock.LOCAL)
        return images_lock.LOCAL

    @property
    def lock_timeout(self) -> str:
        """How long a command waits for the state's lock."""
        return f"-lock-timeout={self.lock_seconds}s"

    def process_environ(self) -> dict[str, str]:
        """The environment of every terraform command."""
        kept = {name: value for name, value in self.environ.items() if name not in NOT_INHERITED}
        if self.aws:
            kept = {**self.aws.environment(kept), **_initial_secrets(self.environ)}
        if self.region != catalog.load().region:
            kept |= {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        return {
            **FEWER_COLLECTIONS,
            **kept,
            "TF_CLI_CONFIG_FILE": str(terraform_cli.config_file(self.work, self.environ)),
            "TF_DATA_DIR": str(self.work / "terraform"),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }

    def run(self, *arguments: str, quiet: bool = False) -> Ended:
        """Runs `terraform ARGUMENTS` in the root module, whatever it ends with. `quiet` keeps its output from view."""
        return terraform_process.run(
            [*self.command, f"-chdir={self.terraform}", *arguments],
            self.process_environ(),
            ROOT,
            quiet=quiet or not self.shown,
            finish=self.finish and arguments[0] == "apply",
        )

    def must(self, *arguments: str, quiet: bool = False) -> Ended:
        """As `run`; raises TerraformFailed or Refused where it fails, with a state lock's holder in words."""
        ended = self.run(*arguments, *_colour(), quiet=quiet)
        if ended.code != 0:
            self.fail(arguments[0], ended, quiet)
        return ended

    def fail(self, what: str, ended: Ended, quiet: bool) -> NoReturn:
        """Raises what an ended command means."""
        if self.aws and not self.aws.find():
            raise TerraformFailed(f"the local AWS died meanwhile; its log ends:\n{self.aws.log_tail()}")
        if ended.lock_held:
            raise Refused(
                f"somebody else is at work on {self.environment}: {ended.lock_held}; wait until they are done. A lock "
                f"whose owner died is given back by: scripts/terraform run --env {self.environment} force-unlock LOCK"
            )
        if ended.stale:
            raise PlanRefused(
                f"the state of {self.environment} has changed since; run: make plan ENV={self.environment}"
            )
        told = f":\n{ended.stderr.strip() or ended.stdout.strip()}" if quiet or not self.shown else ""
        raise TerraformFailed(f"terraform {what} failed (exit code {ended.code}){told}")

    def ready(self) -> None:
        """Makes it usable: the local AWS up with its state bucket, `terraform init` where anything asks for it."""
        if self.aws:
            self.aws.up()
            _make_bucket(self.aws, self.state_bucket)
        stamp = self.work / "init.stamp"
        wanted = self._init_digest()
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and (self.work / "terraform").is_dir():
            return
        terraform_cli.version(self.command, self.process_environ())
        stamp.unlink(missing_ok=True)
        named = (f"-backend-config=bucket={self.state_bucket}", f"-backend-config=region={self.region}")
        where = (f"-backend-config={self.backend}", *named)
        self.must("init", "-reconfigure", *where, quiet=True)
        stamp.write_text(self._init_digest(), encoding="utf-8")

    def _init_digest(self) -> str:
        """Changes with whatever `init` looks at: versions, the lock of providers, module addresses, backend, mirror."""
        lines = [
            line.strip()
            for path in sorted(self.terraform.rglob("*.tf"))
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.match(r"\s*(module|source|version|required_version|backend)\b", line)
        ]
        files = [self.terraform / ".terraform.lock.hcl", self.backend]
        lines += [terraform_plan.file_digest(files), str(terraform_cli.find_mirror(self.environ)), *self.command]
        lines.append(self.region)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def inputs(self) -> dict[str, str]:
        """What its plan depends on, as hashes."""
        variables = {f"{terraform_plan.VARIABLE}{name}": _as_variable(value) for name, value in self.variables.items()}
        named = [ROOT / "services.yaml", self.lock_file, self.terraform / ".terraform.lock.hcl"]
        return terraform_plan.inputs(self.terraform, self.environment, named, variables)

    def plan(self, *arguments: str, destroy: bool = False, first: bool = False) -> Record:
        """Makes plan file, its JSON and our record; `first` plans only what images are pushed to."""
        self.ready()
        inputs = self.inputs()
        self.files.forget()
        self.must(
            "plan",
            f"-var-file={self.settings}",
            f"-out={self.files.plan}",
            self.lock_timeout,
            f"-parallelism={PARALLELISM}",
            *self.variable_arguments(),
            *(["-destroy"] if destroy else []),
            *([f"-target={FIRST}"] if first else []),
            *arguments,
        )
        self.files.json.write_text(
            self.must("show", "-json", str(self.files.plan), quiet=True).stdout, encoding="utf-8"
        )
        return terraform_plan.write_record(
            self.files, self.environment, inputs, datetime.now(UTC), destroy=destroy, first=first
        )

    def pending(self) -> list[tuple[str, str]]:
        """What a plan made now would do, as (address, word): a look that takes no lock and leaves no plan to apply."""
        self.ready()
        file = self.work / "look.tfplan"
        told = [f"-var-file={self.settings}", f"-out={file}", "-lock=false", f"-parallelism={PARALLELISM}"]
        try:
            ended = self.run("plan", "-detailed-exitcode", *told, *self.variable_arguments(), *_colour(), quiet=True)
            if ended.code == 0:  # to show an empty plan takes a quarter of the time again
                return []
            if ended.code != CHANGES:
                self.fail("plan", ended, quiet=True)
            plan = json.loads(self.must("show", "-json", str(file), quiet=True).stdout)
        finally:
            file.unlink(missing_ok=True)
        return list(terraform_plan.changes(plan))

    def variable_arguments(self) -> list[str]:
        """What a command is told of variables, given after the settings and so stronger."""
        images = {"images_lock_file": str(self.lock_file)} if self.aws else {}
        elsewhere = {"region": self.region} if self.region != catalog.load().region else {}
        given = {**images, **elsewhere, **self.variables}
        return [f"-var={name}={_as_variable(value)}" for name, value in given.items()]

    def apply(self) -> Record:
        """Applies exactly the reviewed plan. Raises PlanRefused where there is none, or it is stale."""
        record = terraform_plan.load_reviewed(self.files, self.environment, self.inputs())
        self.ready()
        self.apply_file()
        return record

    def apply_file(self) -> None:
        """Applies the plan file, which then is gone, and keeps the local AWS as it is after that.

        What nobody built is pushed to the local AWS, so that what is deployed is there to be pulled.
        """
        try:
            pace = (self.lock_timeout, f"-parallelism={PARALLELISM}")
            self.must("apply", *pace, str(self.files.plan))
            if self.aws:
                lock = Path(self.variables.get("images_lock_file", self.lock_file))
                images_lock.push_content(self.aws.client("ecr"), images_lock.load(lock))
        finally:
            self.files.forget()
            if self.aws and self.aws.find():
                self.aws.save()  # also after a failure: state and resources lie in the same snapshot

    def state(self) -> dict[str, Any]:
        """The state as terraform shows it to programs (`show -json`)."""
        self.ready()
        shown: dict[str, Any] = json.loads(self.must("show", "-json", quiet=True).stdout)
        return shown

    def outputs(self) -> dict[str, Any]:
        """What the last apply gave out, by name. Raises TerraformFailed where nothing has been applied."""
        self.ready()
        given = json.loads(self.must("output", "-json", quiet=True).stdout)
        if not given:
            raise TerraformFailed(
                f"nothing is deployed to {self.environment} yet; run: make plan apply ENV={self.environment}"
            )
        return {name: each["value"] for name, each in given.items()}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Refuses where another command of this checkout is at work on the environment."""
        with (self.work / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise Refused(f"another command is at work on {self.environment}: {lock.read().strip()}") from error
            lock.truncate(0)
            lock.write(f"pid {os.getpid()}, {Path(sys.argv[0]).name}, since {datetime.now(UTC):%H:%M:%S} UTC")
            lock.flush()
            yield
            lock.truncate(0)


def open_workspace(
    environment: str, environ: Mapping[str, str] = os.environ, *, rehearse: bool = False, **options: Any
) -> Workspace:
    """The workspace of an environment; `rehearse` puts a local AWS of its own in the place of the account.

    Raises Refused where the shell leads an account's environment to an emulator.
    """
    if environment == LOCAL:
        return Workspace(environment=environment, aws=LocalAws(), environ=environ, **options)
    if rehearse:
        work = ROOT / ".local" / f"rehearse-{environment}"
        return Workspace(environment=environment, aws=LocalAws(work / "aws"), environ=environ, work=work, **options)
    leading = sorted(name for name in environ if name.startswith("AWS_ENDPOINT_URL") and environ[name])
    if leading:
        raise Refused(
            f"{environment} is a real account, but {', '.join(leading)} leads elsewhere "
            f"({environ[leading[0]]}); unset it, or rehearse on the local AWS with REHEARSE=1"
        )
    return Workspace(environment=environment, environ=environ, **options)


def _initial_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """TF_VAR_secret_values of a local AWS: the database of DATABASE_URL, and the keys that the shell has."""
    if "TF_VAR_secret_values" in environ:
        return {}
    names = {each.env: name for name, each in catalog.load().parameters.items() if each.secret} | {
        "DATABASE_URL": "database_url"
    }
    values = {name: environ[env] for env, name in names.items() if environ.get(env)}
    return {"TF_VAR_secret_values": json.dumps(values)}


def _make_bucket(aws: LocalAws, name: str) -> None:
    """What terraform/bootstrap does in an account: the bucket that the state lies in."""
    s3 = aws.client("s3")
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})


def _caller_account(environ: Mapping[str, str]) -> str:
    """The account of the shell's credentials. Raises TerraformFailed where there are none that work."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.session.Session(
            profile_name=environ.get("AWS_PROFILE"), region_name=environ.get("AWS_REGION") or REGION
        ).client("sts", endpoint_url=environ.get("AWS_ENDPOINT_URL") or None)
        return str(client.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise TerraformFailed(
            f"no AWS account: {error}; log in (aws sso login), or rehearse with REHEARSE=1"
        ) from error


def _as_variable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _colour() -> list[str]:
    return [] if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ["-no-color"]
