"""Where moto falls short of AWS, and the one place that mends it: a module per service, a small patch per fault."""

from __future__ import annotations

from collections.abc import Callable

from ops.local.aws.patches import (
    backup,
    budgets,
    cloudwatch,
    core,
    ec2,
    ecs,
    events,
    iam,
    lambda_functions,
    logs,
    rds,
    scheduler,
    sqs,
)

# In the order of application; the docstring of each says what AWS does and what moto does instead.
ALL: tuple[Callable[[], None], ...] = (
    core.faults_answer_501,
    iam.secure_transport_is_no_denial,
    cloudwatch.composite_alarms,
    cloudwatch.alarms_are_born_without_data,
    cloudwatch.alarms_keep_their_state,
    logs.query_definitions,
    budgets.tags,
    budgets.updates,
    budgets.subscribers,
    backup.selections,
    backup.tags,
    backup.deleted_plans_are_gone,
    backup.recovery_points,
    rds.performance_insights,
    rds.resource_ids,
    rds.provisioned_clusters,
    rds.parameter_source,
    lambda_functions.configuration_is_kept,
    lambda_functions.image_settings_only_where_given,
    lambda_functions.images_keep_their_digest,
    lambda_functions.concurrency_of_zero,
    ec2.group_rule_descriptions,
    ec2.subnet_ipv6_associations,
    ec2.interfaces_without_dns_names,
    ecs.tasks_without_container_memory,
    ecs.inactive_definitions_are_refused,
    ecs.tasks_run_until_stopped,
    ecs.task_state_changes,
    events.sns_targets,
    scheduler.update_resets_what_is_left_out,
    scheduler.expressions_are_checked,
    scheduler.groups_must_exist,
    sqs.attributes_not_named_stay,
)


def apply() -> None:
    """Applies every patch to the moto of this process; once."""
    for patch in ALL:
        patch()
