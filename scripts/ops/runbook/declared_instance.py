"""A database instance as the code declares it, in the words of RDS's calls: for whoever restores one like it.

`declared` are Terraform's attributes of aws_db_instance, of a state or of a plan. A restore copies neither groups nor
protection nor monitoring from the instance before, so that all of it is said anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.runbook import account_database
from ops.runbook.account_database import Instance

Values = Mapping[str, Any]
SECRET_KEY = "master_user_secret_kms_key_id"
# What both calls that restore take: their parameter → Terraform's attribute.
RESTORED: Mapping[str, str] = {
    "DBInstanceClass": "instance_class",
    "DBSubnetGroupName": "db_subnet_group_name",
    "VpcSecurityGroupIds": "vpc_security_group_ids",
    "DBParameterGroupName": "parameter_group_name",
    "MultiAZ": "multi_az",
    "PubliclyAccessible": "publicly_accessible",
    "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
    "CopyTagsToSnapshot": "copy_tags_to_snapshot",
    "StorageType": "storage_type",
    "EnableIAMDatabaseAuthentication": "iam_database_authentication_enabled",
    "EnableCloudwatchLogsExports": "enabled_cloudwatch_logs_exports",
    "DeletionProtection": "deletion_protection",
}
# What ModifyDBInstance has to set once it is there; and the master's secret, which a restore makes for Oracle only.
CHANGED: Mapping[str, str] = {
    "BackupRetentionPeriod": "backup_retention_period",
    "PreferredBackupWindow": "backup_window",
    "PreferredMaintenanceWindow": "maintenance_window",
    "MonitoringInterval": "monitoring_interval",
    "MonitoringRoleArn": "monitoring_role_arn",
    "EnablePerformanceInsights": "performance_insights_enabled",
    "PerformanceInsightsKMSKeyId": "performance_insights_kms_key_id",
    "PerformanceInsightsRetentionPeriod": "performance_insights_retention_period",
    "MaxAllocatedStorage": "max_allocated_storage",
    "DeletionProtection": "deletion_protection",
}
ATTRIBUTES = tuple(sorted({*RESTORED.values(), *CHANGED.values(), SECRET_KEY, "tags_all"}))
SHOWN = {"EnablePerformanceInsights": "PerformanceInsightsEnabled"}  # where a look calls it otherwise


def restored(declared: Values) -> dict[str, Any]:
    """Parameters of a call that restores."""
    tags = [{"Key": key, "Value": value} for key, value in sorted((declared.get("tags_all") or {}).items())]
    told = {name: declared.get(attribute) for name, attribute in RESTORED.items()}
    return {name: value for name, value in told.items() if value is not None} | {"Tags": tags}


def lacking(declared: Values, instance: Instance) -> dict[str, Any]:
    """Parameters of ModifyDBInstance for what the instance has not got."""
    wanted = {name: declared.get(attribute) for name, attribute in CHANGED.items()}
    found = {name: value for name, value in wanted.items() if value and instance.get(SHOWN.get(name, name)) != value}
    if not account_database.master_secret(instance):
        found |= {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": declared[SECRET_KEY]}
    return found
