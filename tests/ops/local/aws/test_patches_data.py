"""Databases, backups and budgets of the local AWS."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT


def database(aws: LocalAws, **options: Any) -> dict[str, Any]:
    """A new database, as AWS describes it."""
    made: dict[str, Any] = aws.client("rds").create_db_instance(
        DBInstanceIdentifier=f"db-{uuid.uuid4()}",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="ops",
        MasterUserPassword="not-a-secret",
        **options,
    )["DBInstance"]
    return made


def test_performance_insights_are_reported_as_asked_and_as_changed(aws: LocalAws) -> None:
    made = database(aws, EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=31)
    assert (made["PerformanceInsightsEnabled"], made["PerformanceInsightsRetentionPeriod"]) == (True, 31)
    name = made["DBInstanceIdentifier"]
    aws.client("rds").modify_db_instance(DBInstanceIdentifier=name, EnablePerformanceInsights=False)
    (found,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    assert found["PerformanceInsightsEnabled"] is False


def test_two_databases_have_two_resource_ids(aws: LocalAws) -> None:
    assert database(aws)["DbiResourceId"] != database(aws)["DbiResourceId"]


def test_a_provisioned_cluster_has_no_scaling_configuration(aws: LocalAws) -> None:
    made = aws.client("rds").create_db_cluster(
        DBClusterIdentifier=f"cluster-{uuid.uuid4()}",
        Engine="aurora-postgresql",
        EngineMode="provisioned",
        MasterUsername="ops",
        MasterUserPassword="not-a-secret",
    )["DBCluster"]
    assert "ScalingConfigurationInfo" not in made


def test_a_parameter_that_was_set_says_so(aws: LocalAws) -> None:
    rds, name = aws.client("rds"), f"group-{uuid.uuid4()}"
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres17", Description="TLS")
    setting = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[setting])
    (found,) = rds.describe_db_parameters(DBParameterGroupName=name)["Parameters"]
    assert found["Source"] == "user"


def backup_plan(aws: LocalAws, name: str) -> dict[str, Any]:
    """A new backup plan."""
    rule = {"RuleName": "daily", "TargetBackupVaultName": "Default", "ScheduleExpression": "cron(0 5 ? * * *)"}
    made: dict[str, Any] = aws.client("backup").create_backup_plan(
        BackupPlan={"BackupPlanName": name, "Rules": [rule]}, BackupPlanTags={"Project": "ops-pipeline"}
    )
    return made


def test_a_backup_selection_is_kept_listed_and_deleted(aws: LocalAws) -> None:
    backup = aws.client("backup")
    plan = backup_plan(aws, f"plan-{uuid.uuid4()}")["BackupPlanId"]
    selection = {"SelectionName": "database", "IamRoleArn": f"arn:aws:iam::{ACCOUNT}:role/backup", "Resources": ["*"]}
    made = backup.create_backup_selection(BackupPlanId=plan, BackupSelection=selection)["SelectionId"]
    found = backup.get_backup_selection(BackupPlanId=plan, SelectionId=made)["BackupSelection"]
    assert found["SelectionName"] == "database"
    listed = backup.list_backup_selections(BackupPlanId=plan)["BackupSelectionsList"]
    assert [each["SelectionId"] for each in listed] == [made]
    backup.delete_backup_selection(BackupPlanId=plan, SelectionId=made)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        backup.get_backup_selection(BackupPlanId=plan, SelectionId=made)


def test_the_tags_of_a_backup_plan_are_read_without_a_slash_at_the_end(aws: LocalAws) -> None:
    arn = backup_plan(aws, f"plan-{uuid.uuid4()}")["BackupPlanArn"]
    client = aws.client("backup")

    def without_slash(request: Any, **_: Any) -> None:
        request.url = request.url.rstrip("/")  # as the Go SDK, and so Terraform, asks

    client.meta.events.register("before-sign.backup.ListTags", without_slash)
    assert client.list_tags(ResourceArn=arn)["Tags"] == {"Project": "ops-pipeline"}


def test_a_backup_plan_can_be_made_again_after_its_deletion(aws: LocalAws) -> None:
    name = f"plan-{uuid.uuid4()}"
    aws.client("backup").delete_backup_plan(BackupPlanId=backup_plan(aws, name)["BackupPlanId"])
    assert backup_plan(aws, name)["BackupPlanId"]


def test_a_vault_says_that_it_holds_no_recovery_points(aws: LocalAws) -> None:
    backup, name = aws.client("backup"), f"vault-{uuid.uuid4()}"
    backup.create_backup_vault(BackupVaultName=name)
    assert backup.list_recovery_points_by_backup_vault(BackupVaultName=name)["RecoveryPoints"] == []


def budget(name: str, amount: str = "100") -> dict[str, Any]:
    """A monthly budget."""
    limit = {"Amount": amount, "Unit": "USD"}
    return {"BudgetName": name, "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}


def test_a_budget_keeps_the_tags_of_its_birth_and_later_ones(aws: LocalAws) -> None:
    budgets, name = aws.client("budgets"), f"budget-{uuid.uuid4()}"
    budgets.create_budget(AccountId=ACCOUNT, Budget=budget(name), ResourceTags=[{"Key": "Project", "Value": "ops"}])
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{name}"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "Owner", "Value": "desk"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["Project"])
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "Owner", "Value": "desk"}]


def test_a_budget_can_be_changed(aws: LocalAws) -> None:
    budgets, name = aws.client("budgets"), f"budget-{uuid.uuid4()}"
    budgets.create_budget(AccountId=ACCOUNT, Budget=budget(name))
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget(name, "250"))
    found = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=name)["Budget"]
    assert float(found["BudgetLimit"]["Amount"]) == 250


def test_a_budget_names_who_is_told(aws: LocalAws) -> None:
    budgets, name = aws.client("budgets"), f"budget-{uuid.uuid4()}"
    told = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    who = [{"SubscriptionType": "EMAIL", "Address": "operator@example.com"}]
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget=budget(name),
        NotificationsWithSubscribers=[{"Notification": told, "Subscribers": who}],
    )
    found = budgets.describe_subscribers_for_notification(AccountId=ACCOUNT, BudgetName=name, Notification=told)
    assert found["Subscribers"] == who
