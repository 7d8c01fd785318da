"""The bill: quantities times prices, the same from a plan as without one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ops import cost, cost_model, cost_prices, cost_stack
from ops.cost_prices import PriceMissing, Prices
from ops.cost_stack import Resource, StackUnreadable
from pipeline import catalog

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "terraform" / "environments"


@pytest.fixture(scope="module")
def prices() -> Prices:
    return cost_prices.load()


def service(expression: str, *, public: bool = True, state: str = "ENABLED") -> list[Resource]:
    """A small task on a schedule."""
    at = 'module.service["some"]'
    ecs = [{"network_configuration": [{"assign_public_ip": public}]}]
    schedule = {"schedule_expression": expression, "state": state, "target": [{"ecs_parameters": ecs}]}
    return [
        Resource(address=f"{at}.aws_scheduler_schedule.this", type="aws_scheduler_schedule", values=schedule),
        Resource(
            address=f"{at}.aws_ecs_task_definition.this[0]",
            type="aws_ecs_task_definition",
            values={"cpu": "256", "memory": "512"},
        ),
    ]


def by_price(resources: list[Resource], prices: Prices) -> dict[str, float]:
    return cost_model.bill(resources, prices).by(lambda line: line.price)


def test_a_one_minute_job_costs_as_much_as_a_task_that_never_stops(prices: Prices) -> None:
    """43,800 runs of a minute at least are 730 hours of a quarter vCPU and half a GB, and of an address."""
    found = by_price(service("rate(1 minute)"), prices)
    assert found["fargate_vcpu_hour"] == pytest.approx(730 * 0.25 * 0.04048)
    assert found["fargate_gb_hour"] == pytest.approx(730 * 0.5 * 0.004445)
    assert found["public_ipv4_hour"] == pytest.approx(730 * 0.005)
    assert found["scheduler_invocation"] == pytest.approx(0.0438)


def test_a_run_longer_than_a_minute_is_paid_by_the_second(prices: Prices) -> None:
    longer = {**prices.assumptions, "task_seconds": {"value": 90}}
    slow = cost_prices.Prices(**{**vars(prices), "assumptions": longer})
    short, long = (by_price(service("rate(5 minutes)"), each)["fargate_vcpu_hour"] for each in (prices, slow))
    assert long == pytest.approx(1.5 * short)


def test_private_tasks_have_no_address_and_paused_ones_no_runs(prices: Prices) -> None:
    assert "public_ipv4_hour" not in by_price(service("rate(1 minute)", public=False), prices)
    assert cost_model.bill(service("rate(1 minute)", state="DISABLED"), prices).total == 0


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("rate(1 minute)", 43_800),
        ("rate(5 minutes)", 8_760),
        ("rate(1 hour)", 730),
        ("cron(* 9-16 ? * MON-FRI *)", 8 * 60 * 5 / 7 * 365 / 12),
        ("cron(0/5 9-16 ? * MON-FRI *)", 8 * 12 * 5 / 7 * 365 / 12),
        ("cron(0 9-17 ? * MON-FRI *)", 9 * 5 / 7 * 365 / 12),
    ],
)
def test_a_schedule_tells_how_often_it_fires(prices: Prices, expression: str, runs: float) -> None:
    assert cost_model.runs_per_month(expression, prices)[0] == pytest.approx(runs)


def test_an_expression_that_cannot_be_counted_is_said(prices: Prices) -> None:
    with pytest.raises(PriceMissing, match="cannot tell how often"):
        cost_model.runs_per_month("cron(0 5 1 * ? *)", prices)


def test_market_hours_save_most_of_a_jobs_runs_whether_on_or_not(prices: Prices) -> None:
    resting = {"some": "cron(* 9-16 ? * MON-FRI *)"}
    would = cost_model.market_hours_saving(service("rate(1 minute)"), prices, resting)
    does = cost_model.market_hours_saving(service("cron(* 9-16 ? * MON-FRI *)"), prices, resting)
    assert would == does
    always = cost_model.bill(service("rate(1 minute)"), prices).total
    assert would["some"] == pytest.approx(always * (1 - 8 * 5 / 7 * 365 / 12 / 730))


def test_two_zones_pay_for_instance_and_storage_twice(prices: Prices) -> None:
    values: dict[str, Any] = {"instance_class": "db.t4g.micro", "allocated_storage": 20}
    one, two = (
        cost_model.bill(
            [Resource(address="d", type="aws_db_instance", values=values | {"multi_az": twice})], prices
        ).total
        for twice in (False, True)
    )
    assert one == pytest.approx(730 * 0.016 + 20 * 0.115)
    assert two == pytest.approx(2 * one)


def test_an_instance_class_without_a_price_is_refused_by_name(prices: Prices) -> None:
    values = {"instance_class": "db.x9.huge", "allocated_storage": 20}
    with pytest.raises(PriceMissing, match=r"db\.x9\.huge"):
        cost_model.bill([Resource(address="d", type="aws_db_instance", values=values)], prices)


def test_a_type_that_nobody_priced_is_said_and_never_taken_as_free(prices: Prices) -> None:
    assert cost_model.bill([Resource(address="a.b", type="aws_opensearch_domain")], prices).unpriced == [
        "aws_opensearch_domain"
    ]


def test_every_resource_type_of_our_modules_is_priced_or_known_to_be_free() -> None:
    declared = {
        name
        for path in (ROOT / "terraform").rglob("*.tf")
        if "bootstrap" not in path.parts and ".terraform" not in path.parts
        for name in re.findall(r'^resource "(\w+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert declared
    assert {name for name in declared if name not in cost_model.PRICED and not cost_model.FREE.match(name)} == set()


def test_every_price_names_its_source_and_every_used_one_exists(prices: Prices) -> None:
    assert all(entry["source"] in prices.sources for entry in prices.prices.values())
    assert all(float(entry["usd"]) > 0 and entry["per"] for entry in prices.prices.values())
    assert all(entry["why"] for entry in prices.assumptions.values())


def test_a_price_without_a_source_is_refused(tmp_path: Path) -> None:
    raw = yaml.safe_load(cost_prices.FILE.read_text(encoding="utf-8"))
    raw["prices"]["kms_key_month"]["source"] = "hearsay"
    changed = tmp_path / "prices.yaml"
    changed.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(PriceMissing, match="hearsay"):
        cost_prices.load(changed)


@pytest.mark.parametrize("environment", sorted(path.stem for path in ENVIRONMENTS.glob("*.tfvars")))
def test_every_environments_settings_are_read(environment: str) -> None:
    assert cost_stack.settings((ENVIRONMENTS / f"{environment}.tfvars").read_text())["environment"] == environment


def test_settings_are_read_with_comments_lists_and_nested_maps() -> None:
    text = """
    # a comment
    name  = "a#b \\" // c" # after
    list  = ["a", "b",
      "c"]
    nested = { on = true, off = null, deep = { number = 1.5 } }
    """
    assert cost_stack.settings(text) == {
        "name": 'a#b " // c',
        "list": ["a", "b", "c"],
        "nested": {"on": True, "off": None, "deep": {"number": 1.5}},
    }


def test_the_command_tells_the_bill_by_service_and_by_resource(tmp_path: Path) -> None:
    report = tmp_path / "cost.json"
    result = CliRunner().invoke(cost.cli, ["--env", "paper", "--report", str(report)])
    assert result.exit_code == 0, result.output
    told = json.loads(report.read_text())
    assert set(told["by_service"]) == {*catalog.load().services, cost_stack.SHARED}
    assert sum(told["by_service"].values()) == pytest.approx(told["total_usd"], abs=0.1)
    assert sum(told["by_resource"].values()) == pytest.approx(told["total_usd"], abs=0.1)
    assert set(told["market_hours_only"]["by_service"]) == set(catalog.load().services)
    assert told["unpriced"] == []
    assert f"{told['total_usd']:,.2f}" in result.output


def test_an_unknown_environment_is_a_usage_error() -> None:
    result = CliRunner().invoke(cost.cli, ["--env", "moon"])
    assert result.exit_code == 2
    assert "paper" in result.output


@pytest.mark.parametrize("text", ["", "{}", '{"planned_values": {}}'])
def test_a_file_that_is_no_plan_or_one_of_destruction_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    with pytest.raises(StackUnreadable, match="make"):
        cost_stack.of_plan(file)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["paper", "production"])
def test_catalogue_and_plan_give_the_same_bill_to_the_cent(tmp_path: Path, environment: str, prices: Prices) -> None:
    from applied_stack import workspace

    planned = workspace(environment, tmp_path)
    assert planned.aws
    with planned.aws:
        planned.plan()
    by_plan, by_catalogue = (
        cost_model.bill(resources, prices).by(lambda line: line.address)
        for resources in (
            cost_stack.of_plan(planned.files.json),
            cost_stack.of_catalogue(ENVIRONMENTS / f"{environment}.tfvars"),
        )
    )
    assert {name: round(usd, 2) for name, usd in by_plan.items()} == {
        name: round(usd, 2) for name, usd in by_catalogue.items()
    }
