"""The command scripts/cost: what an environment costs a month, by service and by resource."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops import cost_model, cost_prices, cost_stack
from ops.cost_model import Bill
from ops.cost_prices import Prices
from ops.cost_stack import Resource
from pipeline import catalog
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
LAST_PLAN = "(last)"
SHOWN_FROM_USD = 0.005


def read(environment: str, plan: str | None) -> tuple[list[Resource], str]:
    """The resources of an environment and where they were read: a plan file, or catalogue and settings."""
    if plan:
        path = ROOT / ".local" / environment / "plan.json" if plan == LAST_PLAN else Path(plan)
        return cost_stack.of_plan(path), str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    file = ROOT / "terraform" / "environments" / f"{environment}.tfvars"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.tfvars")))
        raise click.UsageError(f"no environment {environment!r}; there are: {known}")
    return cost_stack.of_catalogue(file), f"services.yaml and {file.relative_to(ROOT)}"


def savings(resources: Sequence[Resource], prices: Prices) -> dict[str, dict[str, Any]]:
    """What market_hours_only saves, or would save, by service: {"usd", "on"}."""
    services = {service.name: service for service in catalog.load()}
    expressions = {name: cost_stack.market_hours(service) for name, service in services.items()}
    found = cost_model.market_hours_saving(resources, prices, expressions)
    on = {each.service for each in resources if str(each.values.get("schedule_expression", "")).startswith("cron(")}
    return {name: {"usd": round(usd, 2), "on": name in on} for name, usd in found.items()}


def as_json(environment: str, source: str, bill: Bill, prices: Prices, saving: dict[str, Any]) -> dict[str, Any]:
    """What `--report` writes."""
    lines = [{**vars(line), "usd": round(line.usd, 4), "quantity": round(line.quantity, 4)} for line in bill.lines]
    return {
        "env": environment,
        "source": source,
        "region": prices.region,
        "prices_checked": prices.checked.isoformat(),
        "total_usd": round(bill.total, 2),
        "by_service": {name: round(usd, 2) for name, usd in bill.by(lambda line: line.service).items()},
        "by_resource": {name: round(usd, 4) for name, usd in bill.by(lambda line: line.address).items()},
        "lines": lines,
        "market_hours_only": {"by_service": saving, "total_usd": round(sum(s["usd"] for s in saving.values()), 2)},
        "unpriced": list(bill.unpriced),
        "prices": {name: dict(prices.prices[name]) for name in sorted({line.price for line in bill.lines})},
        "sources": dict(prices.sources),
        "assumptions": {name: dict(entry) for name, entry in prices.assumptions.items()},
    }


def show(report: dict[str, Any], prices: Prices, console: Console) -> None:
    """Prints the bill."""
    console.print(f"[bold]{report['env']}[/bold], US dollars a month, from {escape(report['source'])}\n")
    console.print(_by_service(report))
    console.print(_by_resource(report))
    sources = sorted({entry["source"] for entry in report["prices"].values()})
    console.print(f"\nPrices of {report['region']} on demand, without free tier, checked {report['prices_checked']}:")
    for name in sources:
        console.print(f"  {escape(report['sources'][name])}", soft_wrap=True)
    if unsure := sorted(set(prices.unsure) & set(report["prices"])):
        console.print(f"From no page that we read: {', '.join(unsure)} (see scripts/ops/prices.yaml)", soft_wrap=True)
    seconds = report["assumptions"]["task_seconds"]
    console.print(f"Assumed: {seconds['value']} s a task, billed as 60 ({escape(seconds['why'])}).", soft_wrap=True)
    if report["unpriced"]:
        console.print(f"[red]Without a price:[/red] {', '.join(report['unpriced'])}", soft_wrap=True)


def _by_service(report: dict[str, Any]) -> Table:
    shape = Table(box=None, pad_edge=False, header_style="bold")
    shape.add_column("by service")
    shape.add_column("USD", justify="right")
    shape.add_column("market hours only", justify="right")
    saving = report["market_hours_only"]["by_service"]
    for name, usd in report["by_service"].items():
        own = saving.get(name)
        says = f"{'saves' if own['on'] else 'would save'} {own['usd']:,.2f}" if own else ""
        shape.add_row(escape(name), f"{usd:,.2f}", says)
    on, all_of_them = (sum(own["usd"] for own in saving.values() if own["on"] or wanted) for wanted in (False, True))
    all_saving = f"saves {on:,.2f} of {all_of_them:,.2f}"
    shape.add_row("[bold]total[/bold]", f"[bold]{report['total_usd']:,.2f}[/bold]", all_saving)
    return shape


def _by_resource(report: dict[str, Any]) -> Table:
    shape = Table(box=None, pad_edge=False, header_style="bold", title="\n")
    shape.add_column("by resource", overflow="fold")
    shape.add_column("USD", justify="right")
    small = 0.0
    for address, usd in report["by_resource"].items():
        if usd < SHOWN_FROM_USD:
            small += usd
        else:
            shape.add_row(escape(address), f"{usd:,.2f}")
    shape.add_row("the rest, less than a cent each", f"{small:,.2f}")
    return shape


@click.command()
@click.option(
    "--env", "environment", envvar="ENV", default="paper", show_default=True, help="local, paper, production."
)
@click.option(
    "--plan",
    is_flag=False,
    flag_value=LAST_PLAN,
    metavar="[FILE]",
    help="Read a plan (`terraform show -json`); without FILE the one that make plan made last.",
)
@click.option("--report", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write it there, as JSON.")
def cli(environment: str, plan: str | None, file: Path | None) -> None:
    """What an environment costs a month. Exit codes: 0 done, 1 failed, 2 usage."""
    resources, source = read(environment, plan)
    prices = cost_prices.load()
    report = as_json(environment, source, cost_model.bill(resources, prices), prices, savings(resources, prices))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report, prices, Console(width=None if sys.stdout.isatty() else 120))


def main() -> None:
    """Runs it; an error is one line."""
    try:
        cli()
    except (PipelineError, OSError) as error:
        click.echo(f"cost: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
