"""What holds of every decision: denials win, order is nothing, and who must allow depends on who asks for what."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthcheck.iam import (
    Context,
    MalformedPolicy,
    Policies,
    Policy,
    Request,
    evaluate,
    may_assume,
    policy,
    role,
    service,
)

ACCOUNT, OTHER = "123456789012", "999999999999"
QUEUE = f"arn:aws:sqs:us-west-2:{ACCOUNT}:q"
ROLE = role(f"arn:aws:iam::{ACCOUNT}:role/path/scheduler", session="run")
SEND = Request(principal=ROLE, action="sqs:SendMessage", resource=QUEUE)


def of(*statements: dict[str, Any], name: str = "policy") -> Policy:
    return policy({"Version": "2012-10-17", "Statement": list(statements)}, name=name)


def grant(effect: str = "Allow", action: str = "sqs:SendMessage", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def to(identifier: str) -> Policy:
    return of(grant(Principal={"AWS": identifier}))


identity_statements = st.builds(
    grant,
    effect=st.sampled_from(["Allow", "Deny"]),
    action=st.sampled_from(["sqs:SendMessage", "sqs:*", "SQS:sendmessage", "sns:*", "*"]),
    resource=st.sampled_from([QUEUE, "*", f"{QUEUE}x", f"arn:aws:sqs:*:{ACCOUNT}:?", f"arn:aws:sqs:*:{OTHER}:q"]),
)
statement_lists = st.lists(identity_statements, max_size=5)
allows = st.builds(
    grant, effect=st.just("Allow"), action=st.sampled_from(["sqs:*", "sns:*"]), resource=st.sampled_from([QUEUE, "*"])
)


@settings(max_examples=60)
@given(statement_lists)
def test_a_deny_that_applies_wins_over_everything(statements: list[dict[str, Any]]) -> None:
    policies = Policies(identity=(of(*statements, grant("Deny", Sid="Stop")),), resource=to("*"))
    decision = evaluate(SEND, policies)
    assert decision.reason == "explicit_deny"
    assert {match.effect for match in decision.matched} == {"Deny"}
    assert "Stop" in [match.sid for match in decision.matched]


@settings(max_examples=60)
@given(st.data())
def test_neither_order_nor_division_of_statements_matters(data: st.DataObject) -> None:
    statements = data.draw(statement_lists)
    shuffled = data.draw(st.permutations(statements))
    cut = data.draw(st.integers(0, len(statements)))
    together = evaluate(SEND, Policies(identity=(of(*statements),)))
    apart = evaluate(SEND, Policies(identity=(of(*shuffled[:cut]), of(*shuffled[cut:]))))
    assert together.reason == apart.reason


@settings(max_examples=60)
@given(statement_lists, allows)
def test_an_allow_more_never_takes_access_away(statements: list[dict[str, Any]], extra: dict[str, Any]) -> None:
    before = evaluate(SEND, Policies(identity=(of(*statements),)))
    after = evaluate(SEND, Policies(identity=(of(*statements, extra),)))
    assert after.allowed >= before.allowed


@settings(max_examples=60)
@given(statement_lists, statement_lists)
def test_a_boundary_only_ever_takes_away(statements: list[dict[str, Any]], limits: list[dict[str, Any]]) -> None:
    free = evaluate(SEND, Policies(identity=(of(*statements),)))
    bounded = evaluate(SEND, Policies(identity=(of(*statements),), boundary=of(*limits)))
    assert bounded.allowed <= free.allowed


@settings(max_examples=60)
@given(st.text("aAbB:/-*?${}", max_size=8), st.text("aAbB:/-", max_size=8))
def test_a_pattern_without_signs_matches_itself_and_only_itself(pattern: str, text: str) -> None:
    literal = pattern.translate({ord(sign): None for sign in "*?$"})
    # the account is said, for a text like "::::A" would be an ARN of another one
    request = Request(principal=ROLE, action="sqs:SendMessage", resource=text, resource_account=ROLE.account)
    allowed = evaluate(request, Policies(identity=(of(grant(resource=literal)),))).allowed
    assert allowed is (literal == text)


def test_actions_know_no_case_but_resources_do() -> None:
    assert evaluate(SEND, Policies(identity=(of(grant(action="SQS:SENDmessage")),)))
    assert not evaluate(SEND, Policies(identity=(of(grant(resource=QUEUE.replace(":q", ":Q"))),)))


def test_not_action_and_not_resource_mean_all_others() -> None:
    def allowed(**statement: Any) -> bool:
        return evaluate(SEND, Policies(identity=(of({"Effect": "Allow"} | statement),))).allowed

    assert allowed(NotAction="sns:*", Resource="*")
    assert not allowed(NotAction="sqs:Send*", Resource="*")
    assert allowed(Action="*", NotResource=f"{QUEUE}x")
    assert not allowed(Action="*", NotResource=[f"{QUEUE}x", QUEUE])


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (f"arn:aws:sqs:*:{ACCOUNT}:q", True),
        (f"arn:aws:sqs:us-*-2:{ACCOUNT}:q", True),
        (f"arn:aws:sqs:us-*2:{ACCOUNT}:q", True),
        ("arn:aws:sqs:*:q", True),
        ("arn:aws:sqs:*", True),
        (f"arn:aws:sqs:us-*t:{ACCOUNT}:q", False),
        ("arn:aws:sqs:u*2:q", False),
        (f"arn:aws:sqs:us?west?2:{ACCOUNT}:q", True),
        (f"arn:aws:sqs:us-west-2?{ACCOUNT}:q", False),
    ],
)
def test_a_wildcard_crosses_a_colon_only_at_the_end_of_a_segment(pattern: str, fits: bool) -> None:
    assert evaluate(SEND, Policies(identity=(of(grant(resource=pattern)),))).allowed is fits


@pytest.mark.parametrize(
    ("identifier", "bounded", "unbounded"),
    [
        ("*", True, True),
        (ROLE.session_arn, True, True),
        (ROLE.arn, False, True),
        (f"arn:aws:iam::{ACCOUNT}:root", False, False),
        (ACCOUNT, False, False),
        (f"arn:aws:iam::{ACCOUNT}:role/other", False, False),
        (OTHER, False, False),
    ],
)
def test_a_resource_policy_alone_suffices_if_it_names_the_caller(
    identifier: str, bounded: bool, unbounded: bool
) -> None:
    assert evaluate(SEND, Policies(resource=to(identifier))).allowed is unbounded
    assert evaluate(SEND, Policies(resource=to(identifier), boundary=of(grant(action="s3:*")))).allowed is bounded


def test_another_accounts_resource_needs_both_sides() -> None:
    abroad = Request(principal=ROLE, action="sqs:SendMessage", resource=QUEUE.replace(ACCOUNT, OTHER))
    here, there = of(grant()), to(f"arn:aws:iam::{ACCOUNT}:root")
    assert evaluate(abroad, Policies(identity=(here,))).missing == "resource"
    assert evaluate(abroad, Policies(resource=there)).missing == "identity"
    assert evaluate(abroad, Policies(resource=to(ROLE.arn))).missing == "identity"
    assert evaluate(abroad, Policies(identity=(here,), resource=there))


def test_a_bucket_of_another_account_is_known_by_the_account_said() -> None:
    request = Request(principal=ROLE, action="s3:GetObject", resource="arn:aws:s3:::b/key", resource_account=OTHER)
    assert evaluate(request, Policies(identity=(of(grant(action="s3:*")),))).missing == "resource"


def test_a_key_policy_must_take_part_and_may_leave_it_to_the_account() -> None:
    decrypt = Request(principal=ROLE, action="kms:Decrypt", resource=f"arn:aws:kms:us-west-2:{ACCOUNT}:key/1")
    identity = of(grant(action="kms:Decrypt"))
    to_account = of(grant(action="kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    to_role = of(grant(action="kms:Decrypt", Principal={"AWS": ROLE.arn}))
    to_nobody = of(grant(action="kms:Decrypt", Principal={"AWS": OTHER}))
    assert evaluate(decrypt, Policies(identity=(identity,), resource=to_nobody)).missing == "resource"
    assert evaluate(decrypt, Policies(identity=(identity,), resource=to_account))
    assert evaluate(decrypt, Policies(resource=to_account)).missing == "identity"
    assert evaluate(decrypt, Policies(resource=to_role))


def test_a_trust_policy_must_name_the_caller_and_nothing_stands_in_for_it() -> None:
    trust = of({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/x"}})
    assume = Request(principal=ROLE, action="sts:AssumeRole", resource=f"arn:aws:iam::{ACCOUNT}:role/y")
    assert evaluate(assume, Policies(identity=(of(grant(action="sts:*")),), resource=trust)).missing == "resource"
    assert may_assume(trust, role(f"arn:aws:iam::{ACCOUNT}:role/x"))


def test_a_deny_in_the_trust_policy_stops_the_service() -> None:
    tasks = {"Service": ["ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"]}
    trust = of(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": tasks},
        {"Sid": "Not", "Effect": "Deny", "Action": "sts:*", "NotPrincipal": {"Service": "ecs-tasks.amazonaws.com"}},
    )
    assert may_assume(trust, "ecs-tasks.amazonaws.com")
    assert may_assume(trust, "scheduler.amazonaws.com").reason == "explicit_deny"


def test_a_service_in_its_own_name_needs_the_resources_leave() -> None:
    alarms = service("cloudwatch.amazonaws.com")
    topic = f"arn:aws:sns:us-west-2:{ACCOUNT}:alarms"
    publish = Request(
        principal=alarms, action="sns:Publish", resource=topic, context=Context.of({"aws:SourceAccount": ACCOUNT})
    )
    owner = {"StringEquals": {"AWS:SourceAccount": ACCOUNT}}
    by_name = of(grant(action="sns:Publish", Principal={"Service": "cloudwatch.amazonaws.com"}, Condition=owner))
    by_default = of(grant(action="SNS:Publish", Principal={"AWS": "*"}, Condition=owner))
    assert evaluate(publish, Policies(resource=by_name))
    assert evaluate(publish, Policies(resource=by_default))
    assert evaluate(publish, Policies()).missing == "resource"


def test_a_refusal_names_what_is_missing_and_what_nearly_did() -> None:
    family = f"arn:aws:ecs:us-west-2:{ACCOUNT}:task-definition"
    run = Request(principal=ROLE, action="ecs:RunTask", resource=f"{family}/dispatcher:3")
    statement = grant(action="ecs:RunTask", resource=f"{family}/rss-ingest-task:*", Sid="RunOwn")
    decision = evaluate(run, Policies(identity=(of(statement, name="inline"),)))
    assert (decision.reason, decision.missing) == ("implicit_deny", "identity")
    assert decision.message == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/scheduler/run is not authorized to perform: ecs:RunTask "
        f"on resource: {family}/dispatcher:3 because no identity-based policy allows the ecs:RunTask action"
    )
    (miss,) = decision.near
    assert (miss.policy, miss.sid, miss.element) == ("inline", "RunOwn", "Resource")
    assert "rss-ingest-task" in miss.detail


def test_an_explicit_deny_says_in_which_kind_of_policy() -> None:
    by_tls = of(grant("Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    plain = Request(
        principal=ROLE, action="sqs:SendMessage", resource=QUEUE, context=Context.of({"aws:SecureTransport": False})
    )
    assert evaluate(plain, Policies(identity=(of(grant()),), resource=by_tls)).message.endswith(
        "with an explicit deny in a resource-based policy"
    )
    assert evaluate(SEND, Policies(identity=(of(grant()),), resource=by_tls))


def test_a_variable_without_a_value_never_makes_a_statement_apply() -> None:
    for operator in ("StringEquals", "StringNotEquals", "StringNotLike", "ArnNotEquals"):
        condition = {operator: {"aws:PrincipalArn": "${aws:PrincipalTag/none}"}}
        assert not evaluate(SEND, Policies(identity=(of(grant(Condition=condition)),))), operator


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{", "invalid Json"),
        ({"Version": "2020-01-01", "Statement": []}, "valid version string"),
        ({"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}, "Effect is Allow or Deny"),
        ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "must contain actions"),
        ({"Statement": grant(Sid="a", Resources="*")}, "unknown element Resources"),
        ({"Statement": grant(NotResource="*")}, "exclude each other"),
        ({"Statement": grant(Condition={"StringSame": {"a": "b"}})}, "Invalid Condition type : StringSame"),
        ({"Statement": grant(Condition={"NullIfExists": {"a": "b"}})}, "Invalid Condition type : NullIfExists"),
        ({"Statement": grant(Condition=["a"])}, "Condition is an object"),
    ],
)
def test_a_malformed_policy_is_refused_with_its_place(document: Any, complaint: str) -> None:
    with pytest.raises(MalformedPolicy, match=complaint):
        policy(document, name="mine")


def test_a_document_is_read_as_the_api_returns_it() -> None:
    encoded = quote(json.dumps({"Statement": grant()}))
    assert encoded.startswith("%7B")
    assert evaluate(SEND, Policies(identity=(policy(encoded),)))


@pytest.mark.parametrize(
    ("family", "cluster", "element"),
    [("dispatcher:7", "own", None), ("dispatcher:7", "other", "Condition"), ("stranger:1", "own", "Resource")],
)
def test_a_scheduler_role_runs_its_families_on_its_cluster_only(family: str, cluster: str, element: str | None) -> None:
    place = f"arn:aws:ecs:us-west-2:{ACCOUNT}"
    statement = grant(
        action="ecs:RunTask",
        resource=f"{place}:task-definition/dispatcher:*",
        Sid="RunOwnTasks",
        Condition={"ArnEquals": {"ecs:cluster": f"{place}:cluster/own"}},
    )
    run = Request(
        principal=ROLE,
        action="ecs:RunTask",
        resource=f"{place}:task-definition/{family}",
        context=Context.of({"ecs:cluster": f"{place}:cluster/{cluster}"}),
    )
    decision = evaluate(run, Policies(identity=(of(statement),)))
    assert decision.allowed is (element is None)
    assert [miss.element for miss in decision.near] == ([element] if element else [])


def test_a_key_opens_only_the_secrets_that_are_its_own() -> None:
    parameter = f"arn:aws:ssm:us-west-2:{ACCOUNT}:parameter/own/key"
    condition = {"StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": [parameter]}}
    policies = Policies(identity=(of(grant(action="kms:Decrypt", Condition=condition)),))
    for asked, fits in {parameter: True, f"{parameter}2": False}.items():
        context = Context.of({"kms:EncryptionContext:PARAMETER_ARN": asked})
        key = f"arn:aws:kms:us-west-2:{ACCOUNT}:key/1"
        decrypt = Request(principal=ROLE, action="kms:Decrypt", resource=key, context=context)
        assert evaluate(decrypt, policies).allowed is fits
