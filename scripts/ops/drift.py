"""The command scripts/drift: where reality, code and state differ, and what nobody declared."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops import drift_live, drift_plan, drift_state
from ops.drift_finding import CRITICAL, INFO, WARNING, Report, Unchecked, by_weight, shown
from ops.drift_live import Clients
from ops.drift_since import with_since
from ops.terraform_plan import PlanRefused
from ops.terraform_workspace import LOCAL, TerraformFailed, Workspace, open_workspace
from pipeline import catalog
from pipeline.errors import PipelineError

GLOBAL_REGION = "us-east-1"  # where services without a region are at home
NONE, UNABLE, USAGE, FOUND = 0, 1, 2, 3
COLOURS = {CRITICAL: "red", WARNING: "yellow", INFO: "cyan"}


def check(workspace: Workspace, clients: Clients, now: datetime) -> Report:
    """Looks at everything. A part that cannot be looked at is said in `unchecked`, never taken as no drift."""
    with workspace.alone():
        workspace.ready()
        plan, refusal = _plan(workspace)
        state = plan["prior_state"] if plan else workspace.state()
    declared = _declared(state)
    strays, unchecked = drift_live.undeclared(clients, declared)
    found = [*(drift_plan.findings(plan, workspace.environment) if plan else []), *strays]
    if refusal:
        unchecked.insert(0, Unchecked(part="changed and pending (terraform plan)", reason=refusal))
    findings, _ = with_since(by_weight(found), clients("cloudtrail"), clients("cloudtrail", GLOBAL_REGION))
    return Report(env=workspace.environment, checked_at=now, findings=findings, unchecked=unchecked)


def _plan(workspace: Workspace) -> tuple[dict[str, Any], str | None]:
    """A plan beside the one under review, without a lock: drift changes nothing, and its role may write nothing."""
    with tempfile.TemporaryDirectory(dir=workspace.work, prefix="drift-") as folder:
        file = Path(folder) / "drift.tfplan"
        options = (f"-var-file={workspace.settings}", f"-out={file}", "-lock=false")
        try:
            workspace.must("plan", *options, *workspace.variable_arguments(), quiet=True)
            shown_plan: dict[str, Any] = json.loads(workspace.must("show", "-json", str(file), quiet=True).stdout)
        except (TerraformFailed, PlanRefused) as error:
            return {}, str(error)
    return shown_plan, None


def _declared(state: dict[str, Any]) -> drift_state.Declared:
    """What the state declares, and what the catalogue says that our schedules start."""
    services = catalog.load()
    resources = tuple(drift_state.resources(state))
    found = drift_state.Declared(project=services.project, resources=resources)
    tasks = {service.task_definition for service in services if service.kind == "task"}
    functions = {service.task_definition for service in services if service.kind == "lambda"}
    return drift_state.Declared(
        project=services.project,
        resources=resources,
        families=frozenset(tasks | found.names("aws_ecs_task_definition", "family")),
        functions=frozenset(functions | found.names("aws_lambda_function", "function_name")),
    )


def clients_of(workspace: Workspace) -> Clients:
    """Clients of the AWS that the workspace speaks to."""
    make: Callable[..., Any]
    if workspace.aws:
        make = workspace.aws.client
    else:
        import boto3

        environ = workspace.environ
        region = environ.get("AWS_REGION") or workspace.region
        make = boto3.session.Session(profile_name=environ.get("AWS_PROFILE"), region_name=region).client
    return Clients(make=make)


def table(report: Report) -> Table:
    """The findings for people."""
    shape = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for heading, ratio in (("severity", 1), ("kind", 1), ("where", 5), ("expected", 3), ("found", 3), ("since", 2)):
        shape.add_column(heading, ratio=ratio, overflow="fold")
    for finding in report.findings:
        colour = COLOURS[finding.severity]
        shape.add_row(
            f"[{colour}]{finding.severity}[/{colour}]",
            finding.kind,
            f"{escape(finding.address)}\n  [bold]{escape(finding.attribute)}[/bold]",
            escape(_short(finding.expected)),
            escape(_short(finding.actual)),
            finding.since or "unknown",
        )
    return shape


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(shown(value))
    return text if len(text) <= 120 else f"{text[:119]}…"


def show(report: Report, console: Console) -> None:
    """Prints findings, repairs and what was not checked."""
    if report.findings:
        console.print(table(report))
        console.print("\n[bold]To repair[/bold]")
        for repair in dict.fromkeys(finding.repair for finding in report.findings):
            console.print(f"  {escape(repair)}", soft_wrap=True)
    for part in report.unchecked:
        console.print(f"\n[red]not checked[/red] {escape(part.part)}: {escape(part.reason)}", soft_wrap=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
    console.print(f"\n{report.env}: {counts}{', INCOMPLETE' if report.unchecked else ''}")


def exit_code(report: Report) -> int:
    """3 where anything was found, 1 where nothing was but not all could be looked at."""
    if report.findings:
        return FOUND
    return UNABLE if report.unchecked else NONE


@click.command()
@click.option("--env", "environment", envvar="ENV", default=LOCAL, show_default=True, help="local, paper, production.")
@click.option("--rehearse", is_flag=True, help="On a local AWS of its own in the place of the account.")
@click.option("--report", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write it there, as JSON.")
def cli(environment: str, rehearse: bool, file: Path | None) -> int:
    """Find drift: changed (reality against state), pending (code against state), undeclared (live, declared by nobody).

    Exit codes: 0 none, 3 findings, 1 could not check (all of it), 2 usage.
    """
    workspace = open_workspace(environment, rehearse=rehearse, shown=False)
    report = check(workspace, clients_of(workspace), datetime.now(UTC))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    show(report, Console(width=None if sys.stdout.isatty() else 160))
    return exit_code(report)


def main() -> None:
    """Runs it and maps its result to the exit code; an error is one line."""
    try:
        sys.exit(cli(standalone_mode=False) or NONE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PipelineError, OSError) as error:
        click.echo(f"drift: could not check: {error}", err=True)
        sys.exit(UNABLE)


if __name__ == "__main__":
    main()
