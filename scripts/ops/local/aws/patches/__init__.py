"""Where moto falls short of AWS, and the one place that mends it: a module per service, a small patch per fault."""

from __future__ import annotations

from collections.abc import Callable

from ops.local.aws.patches import (
    access,
    backup,
    budgets,
    cloudtrail,
    cloudwatch,
    core,
    ec2,
    ecr,
    ecs,
    ecs_life,
    ecs_queries,
    events,
    iam,
    lambda_functions,
    logs,
    metrics,
    rds,
    rds_storage,
    scheduler,
    sns,
    sqs,
)

# In the order of application; the docstring of each says what AWS does and what moto does instead.
ALL: tuple[Callable[[], None], ...] = (
    core.faults_answer_501,
    core.services_are_found_at_once,
    iam.secure_transport_is_no_denial,
    access.roles_are_held_to_their_policies,
    access.buckets_are_held_to_policies,
    cloudwatch.composite_alarms,
    cloudwatch.alarms_are_born_without_data,
    cloudwatch.alarms_keep_their_state,
    cloudwatch.alarm_histories,
    metrics.series_are_kept_apart,
    metrics.statistics_are_of_one_series,
    metrics.data_is_of_one_series,
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
    rds_storage.copies_are_made_by_the_storage,
    rds_storage.endpoints_lead_to_servers,
    lambda_functions.configuration_is_kept,
    lambda_functions.image_settings_only_where_given,
    lambda_functions.images_keep_their_digest,
    lambda_functions.concurrency_of_zero,
    lambda_functions.changes_have_a_time,
    ec2.group_rule_descriptions,
    ec2.subnet_ipv6_associations,
    ec2.interfaces_without_dns_names,
    ecr.digests_are_those_of_the_manifests,
    ecr.pushes_are_checked,
    ecr.untagged_images_are_known_by_digest,
    ecs.tasks_without_container_memory,
    ecs.definitions_tell_their_age,
    ecs.inactive_definitions_are_refused,
    ecs.impossible_starts_are_refused,
    ecs_life.tasks_are_born_provisioning,
    ecs_life.tasks_get_public_addresses,
    ecs_life.task_state_changes,
    ecs_queries.unknown_tasks_are_missing,
    ecs_queries.lists_are_filtered,
    ecs_queries.stops_are_asked_for,
    events.targets_that_moto_lacks,
    events.rules_match_what_they_ask_for,
    scheduler.update_resets_what_is_left_out,
    scheduler.expressions_are_checked,
    scheduler.groups_must_exist,
    sqs.attributes_not_named_stay,
    sqs.old_messages_are_gone,
    sqs.long_polls_go_by_the_wall,
    sns.subscriptions_wait_for_confirmation,
    sns.confirmations,
    sns.people_get_mail,
    cloudtrail.lookups,
    cloudtrail.changes_are_recorded,  # the last, and so around all others: it sees what the caller sees
)


def apply() -> None:
    """Applies every patch to the moto of this process; once."""
    for patch in ALL:
        patch()
