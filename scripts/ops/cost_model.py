"""What each resource costs a month, as lines of quantity times price."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ops.cost_prices import PriceMissing, Prices
from ops.cost_stack import Resource

WEEKDAYS_PER_MONTH = 5 / 7 * 365 / 12
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
LEAST_ZONES = 2  # a first plan does not know the subnets' ids, and then leaves their list out
MINUTES = {"minute": 1, "hour": 60, "day": 1440}

# What costs nothing by itself.
FREE = re.compile(
    r"aws_(iam_|ssm_parameter|vpc$|subnet|route|internet_gateway|egress_only|default_security_group|security_group"
    r"|vpc_security_group|flow_log|ecs_cluster|scheduler_schedule_group|cloudwatch_event_|cloudwatch_log_resource_policy"
    r"|cloudwatch_query_definition|ecr_lifecycle_policy|ecr_repository_policy|kms_alias|s3_bucket_|sns_topic_|sqs_queue|budgets_budget|lambda_function_event|lambda_permission"
    r"|db_subnet_group|db_parameter_group|backup_vault|backup_selection)"
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One position of the bill. `runs` tells whether it grows with the number of runs."""

    address: str
    service: str
    price: str
    quantity: float
    usd: float
    runs: bool = False


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A month's cost. `unpriced` are the types that the model does not know."""

    lines: Sequence[Line]
    unpriced: Sequence[str]

    @property
    def total(self) -> float:
        """US dollars a month."""
        return sum(line.usd for line in self.lines)

    def by(self, key: Callable[[Line], str]) -> dict[str, float]:
        """US dollars a month by address, service or price, the dearest first."""
        sums: dict[str, float] = defaultdict(float)
        for line in self.lines:
            sums[key(line)] += line.usd
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How often a service runs, how many hours a month it is at it at all, and whether with a public address."""

    count: float = 0
    hours: float = 0
    public: bool = False


def bill(resources: Sequence[Resource], prices: Prices) -> Bill:
    """The bill of a stack. Raises PriceMissing."""
    runs = {each.service: _runs(each, prices) for each in resources if each.type == "aws_scheduler_schedule"}
    lines: list[Line] = []
    unpriced = set()
    for resource in resources:
        if resource.type in PRICED:
            lines += _lines(resource, runs.get(resource.service, Runs()), prices)
        elif not FREE.match(resource.type):
            unpriced.add(resource.type)
    return Bill(lines=lines, unpriced=sorted(unpriced))


def _lines(resource: Resource, runs: Runs, prices: Prices) -> Iterator[Line]:
    for price, quantity, by_runs in PRICED[resource.type](resource, runs, prices):
        if quantity:
            yield Line(
                address=resource.address,
                service=resource.service,
                price=price,
                quantity=quantity,
                usd=quantity * prices.usd(price),
                runs=by_runs,
            )


def market_hours_saving(
    resources: Sequence[Resource], prices: Prices, expressions: Mapping[str, str]
) -> dict[str, float]:
    """US dollars a month that each service saves by running in market hours only, or would.

    `expressions` has the market-hours schedule by service; the comparison is with running around the clock.
    """
    savings = {}
    for name, (always, resting) in _both_ways(resources, expressions).items():
        savings[name] = bill(always, prices).by(lambda line: line.service).get(name, 0) - bill(resting, prices).by(
            lambda line: line.service
        ).get(name, 0)
    return savings


def _both_ways(
    resources: Sequence[Resource], expressions: Mapping[str, str]
) -> dict[str, tuple[list[Resource], list[Resource]]]:
    """Each service's resources with a schedule around the clock, and with one in market hours."""
    found = {}
    for name, resting in expressions.items():
        own = [each for each in resources if each.service == name]
        always = next((_around_the_clock(each) for each in own if each.type == "aws_scheduler_schedule"), None)
        if always:
            found[name] = (_rescheduled(own, always), _rescheduled(own, resting))
    return found


def _rescheduled(resources: Sequence[Resource], expression: str) -> list[Resource]:
    return [
        replace(each, values={**each.values, "schedule_expression": expression, "state": "ENABLED"})
        if each.type == "aws_scheduler_schedule"
        else each
        for each in resources
    ]


def _around_the_clock(schedule: Resource) -> str:
    """The rate behind a schedule, which in market hours is a cron of the same period."""
    expression = str(schedule.values["schedule_expression"])
    if not expression.startswith("cron("):
        return expression
    minute = expression.removeprefix("cron(").split()[0]
    if minute == "0":
        return "rate(60 minutes)"
    return "rate(1 minute)" if minute == "*" else f"rate({minute.removeprefix('0/')} minutes)"


def _runs(schedule: Resource, prices: Prices) -> Runs:
    values = schedule.values
    ecs = (values.get("target") or [{}])[0].get("ecs_parameters") or [{}]
    network = (ecs[0].get("network_configuration") or [{}])[0]
    count, hours = runs_per_month(str(values["schedule_expression"]), prices)
    if values.get("state") == "DISABLED":
        count, hours = 0, 0
    return Runs(count=count, hours=hours, public=bool(network.get("assign_public_ip")))


def runs_per_month(expression: str, prices: Prices) -> tuple[float, float]:
    """(runs a month, hours a month in which there are any) of a rate, or of a cron over minutes, hours and weekdays.

    Raises PriceMissing on an expression of another form.
    """
    rate = RATE.fullmatch(expression)
    if rate:
        return prices.minutes_per_month / (int(rate[1]) * MINUTES[rate[2]]), prices.hours_per_month
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if len(fields) != 6 or fields[2] not in "*?" or fields[3] != "*":
        raise PriceMissing(
            f"cannot tell how often {expression} runs; known are rate(…) and cron over hours and weekdays"
        )
    days = WEEKDAYS_PER_MONTH if fields[4] == "MON-FRI" else prices.hours_per_month / 24
    hours = _values(fields[1], 24) * days
    return _values(fields[0], 60) * hours, hours


def _values(field: str, whole: int) -> float:
    """How many values a cron field of minutes or hours takes."""
    if field == "*":
        return whole
    if "/" in field:
        return whole / int(field.split("/")[1])
    first, _, last = field.partition("-")
    return int(last or first) - int(first) + 1


Quantities = Iterator[tuple[str, float, bool]]


def _schedule(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    yield "scheduler_invocation", runs.count, True
    yield "kms_request", runs.count * prices.assumed("kms_requests_per_run"), True
    if runs.public:
        yield "public_ipv4_hour", runs.count * _task_seconds(prices) / 3600, True


def _task_seconds(prices: Prices) -> float:
    return max(prices.assumed("task_minimum_seconds"), prices.assumed("task_seconds"))


def _task(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    hours = runs.count * _task_seconds(prices) / 3600
    yield "fargate_vcpu_hour", hours * int(resource.values["cpu"]) / 1024, True
    yield "fargate_gb_hour", hours * int(resource.values["memory"]) / 1024, True


def _function(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    yield "lambda_request", runs.count, True
    gb = int(resource.values["memory_size"]) / 1024
    yield "lambda_gb_second", runs.count * prices.assumed("lambda_seconds") * gb, True


def _log_group(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    gb = runs.count * prices.assumed("log_kb_per_run") / 2**20 if runs.count else prices.assumed("shared_log_gb")
    kept_months = float(resource.values.get("retention_in_days") or 3650) * 24 / prices.hours_per_month
    yield "log_ingestion_gb", gb, bool(runs.count)
    yield "log_storage_gb_month", gb * kept_months * prices.assumed("log_compression"), bool(runs.count)
    if runs.count:  # a custom metric is paid for the hours in which it is sent
        yield "metric_month", prices.assumed("metrics_per_service") * runs.hours / prices.hours_per_month, True


def _alarm(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    queries = [query for query in resource.values.get("metric_query") or [] if query.get("metric")]
    yield "alarm_metric_month", max(1, len(queries)), False


def _database(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    values = resource.values
    zones = 2 if values.get("multi_az") else 1
    yield str(values["instance_class"]), prices.hours_per_month * zones, False
    yield "rds_gp3_gb_month", float(values["allocated_storage"]) * zones, False
    if values.get("manage_master_user_password"):
        yield "secret_month", 1, False
    if values.get("monitoring_interval"):
        yield "log_ingestion_gb", prices.assumed("monitoring_gb") * zones, False


def _backups(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    data = prices.assumed("database_gb")
    for rule in resource.values.get("rule") or []:
        days = float((rule.get("lifecycle") or [{}])[0].get("delete_after") or 35)
        stored = data * (1 + days / 10)  # the first is whole, each further one a tenth
        copies = len(rule.get("copy_action") or [])
        yield "backup_gb_month", stored * (1 + copies), False
        yield "region_transfer_gb", copies * data / 10 * prices.hours_per_month / 24, False


def _endpoint(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    if resource.values.get("vpc_endpoint_type") == "Interface":
        zones = len(resource.values.get("subnet_ids") or []) or LEAST_ZONES
        yield "endpoint_zone_hour", zones * prices.hours_per_month, False
        yield "endpoint_gb", prices.assumed("endpoint_gb"), False


def _each(price: str, quantity: float = 1) -> Callable[[Resource, Runs, Prices], Quantities]:
    def quantities(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
        yield price, quantity, False

    return quantities


def _assumed(*positions: tuple[str, str]) -> Callable[[Resource, Runs, Prices], Quantities]:
    def quantities(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
        for price, assumption in positions:
            yield price, prices.assumed(assumption), False

    return quantities


def _bucket(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    yield "s3_gb_month", prices.assumed("page_gb"), False
    yield "s3_put", prices.minutes_per_month / 5, False


def _nat(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    yield "nat_gateway_hour", prices.hours_per_month, False
    yield "nat_gateway_gb", prices.assumed("nat_gb"), False


def _address(resource: Resource, runs: Runs, prices: Prices) -> Quantities:
    yield "public_ipv4_hour", prices.hours_per_month, False


PRICED: dict[str, Callable[[Resource, Runs, Prices], Quantities]] = {
    "aws_scheduler_schedule": _schedule,
    "aws_ecs_task_definition": _task,
    "aws_lambda_function": _function,
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_cloudwatch_composite_alarm": _each("composite_alarm_month"),
    "aws_cloudwatch_dashboard": _each("dashboard_month"),
    "aws_kms_key": _each("kms_key_month"),
    "aws_ecr_repository": _assumed(("ecr_gb_month", "image_gb")),
    "aws_sns_topic": _assumed(("sns_email", "alarm_emails")),
    "aws_s3_bucket": _bucket,
    "aws_eip": _address,
    "aws_nat_gateway": _nat,
    "aws_vpc_endpoint": _endpoint,
    "aws_db_instance": _database,
    "aws_backup_plan": _backups,
}
