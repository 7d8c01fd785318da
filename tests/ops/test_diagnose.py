"""Diagnosis of the faults that really happened, on an applied account: each named, its innocent suspect cleared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from applied_stack import applied, push_images
from fault_cases import CLASSIFIER, COMBINATIONS, FAULTS, TASKS, Fault, crashed, runs, starting, told
from health_evidence import CATALOG, TICKERS, changed, past_run
from healthcheck import aws, checks
from healthcheck.aws import clients as aws_clients
from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.aws.tasks import Tasks
from healthcheck.diagnosis import diagnose as reasoning
from healthcheck.diagnosis.shape import Diagnosis, Verdict
from healthcheck.place import Place
from healthcheck.snapshot import Scope, Snapshot
from market_rows import MINUTE, NOW
from ops import diagnose_read
from ops.local.aws import LocalAws
from plane_world import Account

PLACE = Place.of(CATALOG, "arn:aws:sts:us-west-2:123456789012:")
SCOPE = Scope(now=NOW, catalog=CATALOG, tickers=TICKERS, service="diagnose", execution_id="this", place=PLACE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with applied("local", tmp_path_factory.mktemp("stack") / "account") as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        workspace.aws.save()
        yield workspace.aws


@pytest.fixture(scope="module")
def clients(stack: LocalAws) -> Iterator[Clients]:
    with aws_clients.Clients(make=lambda service, region: stack.client(service)) as made:
        yield made


@pytest.fixture
def account(stack: LocalAws) -> Account:
    """As it was applied, years ago; what is broken is broken eighteen minutes before now."""
    stack.restore()
    stack.set_now(NOW - 18 * MINUTE)
    return Account(stack)


def diagnosed(account: Account, clients: Clients, *faults: Fault) -> Diagnosis:
    """Breaks it, waits, reads it and reasons."""
    for fault in faults:
        fault.inject(account)
    account.aws.set_now(NOW)
    snapshot = told(aws.read(clients, SCOPE, Memory()), PLACE, faults)
    assert snapshot.unreadable() == {}
    report = checks.evaluate(snapshot, checks.ALL)
    history = diagnose_read.ask(clients, NOW, reasoning.wanted(report))
    return reasoning.diagnose(snapshot, report, history)


def causes(found: Diagnosis) -> set[str]:
    return {cause.name for cause in found.causes}


def cleared(found: Diagnosis) -> set[str]:
    return {f"{each.code}:{each.subject}" for each in found.cleared}


def test_an_account_in_which_all_is_well_is_healthy(account: Account, clients: Clients) -> None:
    found = diagnosed(account, clients)
    assert (found.verdict, causes(found), found.unknown) == (Verdict.HEALTHY, set(), ())


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_and_nothing_else(account: Account, clients: Clients, name: str) -> None:
    fault = FAULTS[name]
    found = diagnosed(account, clients, fault)
    assert causes(found) == fault.causes
    assert cleared(found) >= fault.cleared
    assert not {code.split(":")[0] for code in cleared(found)} & {cause.split(":")[0] for cause in causes(found)}
    assert found.verdict is Verdict.FAULTY


@pytest.mark.parametrize("beginnings", COMBINATIONS, ids=lambda beginnings: " + ".join(beginnings))
def test_faults_at_once_are_all_named_and_nothing_else(
    account: Account, clients: Clients, beginnings: tuple[str, ...]
) -> None:
    faults = [starting(each) for each in beginnings]
    found = diagnosed(account, clients, *faults)
    assert causes(found) == frozenset().union(*(fault.causes for fault in faults))


def test_claims_wait_for_a_dispatcher_that_cannot_run_and_not_for_its_input(account: Account, clients: Clients) -> None:
    found = diagnosed(account, clients, starting("24 YAML in"), starting("28 a claim"))
    assert causes(found) == starting("24 YAML in").causes
    assert "stuck_rows:dispatches claimed" in found.causes[0].explains


def test_a_revision_that_crashes_beside_a_newer_one_has_no_grace(account: Account, clients: Clients) -> None:
    account.aws.set_now(NOW - MINUTE)
    assert (
        causes(diagnosed(account, clients, replace(starting("11 pinned to an older"), tell=lambda told: told))) == set()
    )
    account.aws.restore()
    account.aws.set_now(NOW - MINUTE)
    fault = starting("11 pinned to an older")
    assert causes(diagnosed(account, clients, fault)) == fault.causes


def test_a_task_that_could_leave_no_record_did_not_crash(account: Account, clients: Clients) -> None:
    minutes = [name for name in TASKS if CATALOG[name].period == MINUTE]

    def away(snapshot: Snapshot) -> Snapshot:
        """The database was away for nine minutes, in which the last run of a five-minute service fell."""
        found = crashed(CLASSIFIER, 1, 1)(snapshot)
        ended = [replace(each, created_at=NOW - 4 * MINUTE, execution_id="unknown")
                 for each in found.part(Tasks).stopped]  # fmt: skip
        kept = {name: [past_run(name, NOW - i * MINUTE) for i in (1, 2, 11, 12)] for name in minutes}
        known = runs(found, **kept, **{CLASSIFIER: [past_run(CLASSIFIER, NOW - 14 * MINUTE)]})
        return changed(known, Tasks, stopped=tuple(ended))

    def there(snapshot: Snapshot) -> Snapshot:
        return runs(
            away(snapshot), **{name: [past_run(name, NOW - i * MINUTE) for i in range(1, 9)] for name in minutes}
        )

    assert f"task_crash:{CLASSIFIER}" not in causes(diagnosed(account, clients, Fault(causes=frozenset(), tell=away)))
    account.aws.restore()
    account.aws.set_now(NOW - 18 * MINUTE)
    assert f"task_crash:{CLASSIFIER}" in causes(diagnosed(account, clients, Fault(causes=frozenset(), tell=there)))
