"""The examples that AWS publishes in the IAM user guide and in EventBridge Scheduler's guide, decided as it says."""

from __future__ import annotations

from typing import Any

import pytest

from healthcheck.iam import Context, Policies, Request, evaluate, may_assume, policy, role, service, user

ACCOUNT = "123456789012"
CARLOS = user(f"arn:aws:iam::{ACCOUNT}:user/carlossalazar")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def holds(condition: dict[str, Any], **keys: Any) -> bool:
    """Whether a statement under this condition applies to a request with these keys (`aws_SourceArn=…`)."""
    context = Context.of({name.replace("_", ":", 1).replace("__", "/"): value for name, value in keys.items()})
    request = Request(principal=CARLOS, action="s3:ListBucket", resource="arn:aws:s3:::b", context=context)
    statement = allow("s3:ListBucket", Condition=condition)
    return evaluate(request, Policies(identity=(policy(document(statement)),))).allowed


LOGS = document(
    {
        "Sid": "AllowS3ListRead",
        "Effect": "Allow",
        "Action": ["s3:GetBucketLocation", "s3:GetAccountPublicAccessBlock", "s3:ListAllMyBuckets"],
        "Resource": "arn:aws:s3:::*",
    },
    {
        "Sid": "AllowS3Self",
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"],
    },
    {"Sid": "DenyS3Logs", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::*log*"},
)
BUCKET = document(
    {
        "Effect": "Allow",
        "Principal": {"AWS": CARLOS.arn},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"],
    }
)


@pytest.mark.parametrize(
    ("resource", "reason", "sids"),
    [
        ("arn:aws:s3:::carlossalazar-logs/file", "explicit_deny", ["DenyS3Logs"]),
        ("arn:aws:s3:::carlossalazar/file", "allowed", ["AllowS3Self", ""]),
        ("arn:aws:s3:::another/file", "implicit_deny", []),
    ],
)
def test_carlos_may_write_to_his_bucket_but_to_no_log_bucket(resource: str, reason: str, sids: list[str]) -> None:
    policies = Policies(identity=(policy(LOGS, name="carlos"),), resource=policy(BUCKET, name="bucket"))
    decision = evaluate(Request(principal=CARLOS, action="s3:PutObject", resource=resource), policies)
    assert (decision.reason, [match.sid for match in decision.matched]) == (reason, sids)


def test_an_explicit_deny_of_reports_outlasts_any_grant() -> None:
    policies = Policies(
        identity=(
            policy(
                document(
                    allow(["iam:Get*", "iam:List*"], Sid="AllowGetList"),
                    {"Sid": "DenyReports", "Effect": "Deny", "Action": "iam:*Report", "Resource": "*"},
                )
            ),
            policy(document(allow("iam:GenerateCredentialReport"))),
        )
    )
    reasons = {
        action: evaluate(Request(principal=CARLOS, action=action, resource="*"), policies).reason
        for action in (
            "iam:ListUsers",
            "iam:CreatePolicy",
            "iam:GetOrganizationsAccessReport",
            "iam:GenerateCredentialReport",
        )
    }
    assert reasons == {
        "iam:ListUsers": "allowed",
        "iam:CreatePolicy": "implicit_deny",
        "iam:GetOrganizationsAccessReport": "explicit_deny",
        "iam:GenerateCredentialReport": "explicit_deny",
    }


SCHEDULER_TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": ACCOUNT,
                "aws:SourceArn": f"arn:aws:scheduler:us-west-2:{ACCOUNT}:schedule-group/your-schedule-group",
            }
        },
    }
)


def source(group: str, account: str = ACCOUNT) -> Context:
    return Context.of({"aws:SourceAccount": account, "aws:SourceArn": f"arn:aws:scheduler:us-west-2:{account}:{group}"})


def test_the_confused_deputy_is_kept_out_by_schedule_group_and_account() -> None:
    mine, other = source("schedule-group/your-schedule-group"), source("schedule-group/other")
    foreign = source("schedule-group/your-schedule-group", "999999999999")
    answers = [may_assume(SCHEDULER_TRUST, "scheduler.amazonaws.com", one).allowed for one in (mine, other, foreign)]
    assert answers == [True, False, False]


def test_a_trust_scoped_to_one_schedule_refuses_for_scheduler_tells_only_the_group() -> None:
    refused = may_assume(SCHEDULER_TRUST, "scheduler.amazonaws.com", source("schedule/your-schedule-group/one"))
    assert (refused.missing, [miss.element for miss in refused.near]) == ("resource", ["Condition"])
    assert "schedule/your-schedule-group/one" in refused.near[0].detail


def test_a_role_that_trusts_only_event_rules_is_not_the_schedulers() -> None:
    trust = document(
        {
            "Sid": "Rules",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    assert may_assume(trust, "events.amazonaws.com")
    refused = may_assume(trust, "scheduler.amazonaws.com")
    assert refused.message == (
        "User: scheduler.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: * "
        "because no resource-based policy allows the sts:AssumeRole action"
    )
    assert [(miss.sid, miss.element) for miss in refused.near] == [("Rules", "Principal")]


ARN_PATTERN = "arn:aws:someservice:*:111122223333:finance/*"
ARN_VALUE = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"


def test_an_arn_is_compared_by_segments_where_a_text_is_not() -> None:
    assert holds({"StringLike": {"aws:SourceArn": ARN_PATTERN}}, aws_SourceArn=ARN_VALUE)
    assert not holds({"ArnLike": {"aws:SourceArn": ARN_PATTERN}}, aws_SourceArn=ARN_VALUE)
    fitting = "arn:aws:someservice:us-east-2:111122223333:finance/document.txt"
    assert holds({"ArnLike": {"aws:SourceArn": ARN_PATTERN}}, aws_SourceArn=fitting)


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("bucket/1/test/object.jpg", True),
        ("bucket/1/2/test/3/object.jpg", True),
        ("bucket/1/2/test/object.jpg", True),
        ("bucket//test/object.jpg", True),
        ("bucket/1/test/", True),
        ("bucket/1-test/object.jpg", False),
        ("bucket/test/object.jpg", False),
        ("bucket/1/2/test.jpg", False),
    ],
)
def test_an_asterisk_of_a_resource_covers_slashes(path: str, fits: bool) -> None:
    policies = Policies(identity=(policy(document(allow("s3:GetObject", "arn:aws:s3:::bucket/*/test/*"))),))
    request = Request(principal=CARLOS, action="s3:GetObject", resource=f"arn:aws:s3:::{path}")
    assert evaluate(request, policies).allowed is fits


DEPARTMENTS = {
    "StringEquals": {
        "aws:PrincipalTag/department": ["finance", "hr", "legal"],
        "aws:PrincipalTag/role": ["audit", "security"],
    }
}
ANA_AND_MARY = ["arn:aws:iam::222222222222:user/Ana", "arn:aws:iam::222222222222:user/Mary"]


@pytest.mark.parametrize(
    ("operator", "tags", "who", "fits"),
    [
        ("ArnLike", {"department": "legal", "role": "audit"}, "Mary", True),
        ("ArnLike", {"department": "hr", "role": "audit"}, "Nikki", False),
        ("ArnLike", {"department": "hr", "role": "payroll"}, "Mary", False),
        ("ArnLike", {"department": "hr"}, "Mary", False),
        ("ArnLike", {}, "Mary", False),
        ("ArnNotLike", {"department": "legal", "role": "audit"}, "Nikki", True),
        ("ArnNotLike", {"department": "hr", "role": "audit"}, "Mary", False),
        ("ArnNotLike", {"department": "hr", "role": "payroll"}, "Nikki", False),
        ("ArnNotLike", {"department": "hr"}, "Nikki", False),
        ("ArnNotLike", {}, "Nikki", False),
    ],
)
def test_several_keys_and_values_match_as_the_guides_tables_say(
    operator: str, tags: dict[str, str], who: str, fits: bool
) -> None:
    bucket = document(
        {
            "Sid": "ExamplePolicy",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::b",
            "Condition": DEPARTMENTS | {operator: {"aws:PrincipalArn": ANA_AND_MARY}},
        }
    )
    request = Request(
        principal=user(f"arn:aws:iam::222222222222:user/{who}"),
        action="s3:ListBucket",
        resource="arn:aws:s3:::b",
        context=Context.of({f"aws:PrincipalTag/{key}": value for key, value in tags.items()}),
    )
    policies = Policies(identity=(policy(document(allow("s3:*"))),), resource=policy(bucket))
    matched = {match.sid for match in evaluate(request, policies).matched}
    assert ("ExamplePolicy" in matched) is fits


@pytest.mark.parametrize(
    ("attributes", "all_in", "any_out"),
    [
        (["PostDateTime", "Message"], True, True),
        (["PostDateTime", "UserName"], False, True),
        (["ID", "Message"], False, True),
        (["UserName"], False, False),
        ([], True, False),
        ([""], True, False),
    ],
)
def test_set_operators_compare_every_value_of_the_request(attributes: list[str], all_in: bool, any_out: bool) -> None:
    key = "dynamodb:requestedAttributes"
    every = {"ForAllValues:StringLike": {key: ["PostDateTime", "Message", "Tags"]}}
    some = {"ForAnyValue:StringLike": {key: ["ID", "PostDateTime"]}}
    assert holds(every, dynamodb_requestedAttributes=attributes) is all_in
    assert holds(some, dynamodb_requestedAttributes=attributes) is any_out


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "fits"),
    [
        ("StringEquals", "Audit", "Audit", True),
        ("StringEquals", "Audit", "audit", False),
        ("StringEquals", "A*", "Audit", False),
        ("StringNotEquals", "Audit", "audit", True),
        ("StringEqualsIgnoreCase", "AUDIT", "audit", True),
        ("StringNotEqualsIgnoreCase", "AUDIT", "audit", False),
        ("StringLike", "t2.*", "t2.micro", True),
        ("StringLike", "t2.*", "T2.micro", False),
        ("StringLike", "t?.micro", "t2.micro", True),
        ("StringNotLike", "t2.*", "m3.large", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericLessThanEquals", "10", "11", False),
        ("NumericEquals", "10.0", "10", True),
        ("NumericGreaterThan", "5", "ten", False),
        ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-01-01T00:00:02Z", True),
        ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-01-01T00:00:01Z", False),
        ("DateLessThan", "2020", "2019-12-31T23:59:59Z", True),
        ("DateEquals", "1577836801", "2020-01-01T00:00:01Z", True),
        ("Bool", "false", "False", True),
        ("Bool", "true", "false", False),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", True),
        ("IpAddress", "203.0.113.0/24", "203.0.113.255", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.0", False),
        ("IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", True),
        ("IpAddress", "203.0.113.7", "203.0.113.7", True),
        ("NotIpAddress", "203.0.113.0/24", "10.0.0.1", True),
    ],
)
def test_each_operator_compares_as_its_table_says(operator: str, wanted: str, value: str, fits: bool) -> None:
    assert holds({operator: {"aws:Key": wanted}}, aws_Key=value) is fits


@pytest.mark.parametrize(
    ("operator", "fits"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("ArnNotLike", True),
        ("NumericLessThan", False),
        ("StringEqualsIfExists", True),
        ("StringNotLikeIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
    ],
)
def test_a_key_that_is_absent_counts_as_documented(operator: str, fits: bool) -> None:
    assert holds({operator: {"aws:Absent": "1"}}) is fits


def test_null_asks_only_whether_the_key_is_there() -> None:
    assert holds({"Null": {"aws:TokenIssueTime": "true"}})
    assert not holds({"Null": {"aws:TokenIssueTime": "false"}})
    assert holds({"Null": {"aws:TokenIssueTime": "false"}}, aws_TokenIssueTime="2020-01-01T00:00:00Z")


def test_a_queue_for_its_users_is_found_by_the_variable_in_its_name() -> None:
    queues = "arn:aws:sqs:us-east-2:*:${aws:username}-queue"
    policies = Policies(identity=(policy(document(allow("sqs:*", queues))),))
    own, others = (f"arn:aws:sqs:us-east-2:{ACCOUNT}:{name}-queue" for name in ("carlossalazar", "zhang"))
    answers = [
        evaluate(Request(principal=CARLOS, action="sqs:SendMessage", resource=queue), policies).allowed
        for queue in (own, others)
    ]
    assert answers == [True, False]


def test_variables_have_defaults_literal_signs_and_no_meaning_in_the_old_version() -> None:
    def resource(text: str, version: str = "2012-10-17") -> bool:
        read = policy(document(allow("s3:GetObject", text)) | {"Version": version})
        request = Request(principal=CARLOS, action="s3:GetObject", resource="arn:aws:s3:::b/company-wide")
        return evaluate(request, Policies(identity=(read,))).allowed

    assert resource("arn:aws:s3:::b/${aws:PrincipalTag/team, 'company-wide'}")
    assert not resource("arn:aws:s3:::b/${aws:PrincipalTag/team}")
    assert not resource("arn:aws:s3:::b/company${*}")
    assert not resource("arn:aws:s3:::b/${aws:PrincipalTag/team, 'company-wide'}", "2008-10-17")


def test_a_wildcard_in_a_value_of_the_request_is_only_a_sign() -> None:
    policies = Policies(identity=(policy(document(allow("s3:GetObject", "arn:aws:s3:::${aws:PrincipalTag/own}/*"))),))

    def allowed(bucket: str) -> bool:
        context = Context.of({"aws:PrincipalTag/own": "*"})
        resource = f"arn:aws:s3:::{bucket}/key"
        request = Request(principal=CARLOS, action="s3:GetObject", resource=resource, context=context)
        return evaluate(request, policies).allowed

    assert not allowed("another")
    assert allowed("*")


def test_a_queue_takes_the_dead_letters_of_one_rule_only() -> None:
    queue = f"arn:aws:sqs:us-west-2:{ACCOUNT}:MyEventDLQ"
    own = policy(
        document(
            {
                "Sid": "Dead-letter queue permissions",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-west-2:{ACCOUNT}:rule/MyTestRule"}},
            }
        )
    )
    for rule, fits in {"MyTestRule": True, "Other": False}.items():
        context = Context.of({"aws:SourceArn": f"arn:aws:events:us-west-2:{ACCOUNT}:rule/{rule}"})
        request = Request(
            principal=service("events.amazonaws.com"), action="sqs:SendMessage", resource=queue, context=context
        )
        assert evaluate(request, Policies(resource=own)).allowed is fits


def test_passing_a_role_is_allowed_only_to_the_service_it_is_meant_for() -> None:
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/task"
    statement = allow(
        "iam:PassRole", role_arn, Condition={"StringLike": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    )
    policies = Policies(identity=(policy(document(statement)),))
    for passed_to, fits in {"ecs-tasks.amazonaws.com": True, "lambda.amazonaws.com": False}.items():
        request = Request(
            principal=role(f"arn:aws:iam::{ACCOUNT}:role/scheduler"),
            action="iam:PassRole",
            resource=role_arn,
            context=Context.of({"iam:PassedToService": passed_to}),
        )
        assert evaluate(request, policies).allowed is fits
