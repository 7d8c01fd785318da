"""The cause codes of SPEC §6, by group; a scenario may expect these and no others."""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[str, ...]] = {
    "schedule": (
        "schedule_missing",
        "schedule_disabled",
        "schedule_wrong_rate",
        "schedule_window",
        "schedule_extra",
        "trigger_duplicate",
        "target_cluster",
        "target_task_definition",
        "target_revision_stale",
        "target_network",
        "role_missing",
        "role_trust",
        "role_run_task",
        "role_pass_role",
        "dead_letters",
    ),
    "task": (
        "image_missing",
        "image_stale",
        "parameter_missing",
        "parameter_denied",
        "parameter_unread",
        "task_crash",
        "task_oom",
        "task_hang",
        "task_network",
    ),
    "provider": (
        "key_rejected",
        "key_swapped",
        "not_entitled",
        "rate_limited",
        "provider_error",
        "feed_delayed",
        "feed_broken",
    ),
    "data": ("bars_gap", "features_stale", "ticker_config", "config_invalid", "backlog", "stuck_rows"),
    "database": ("db_unreachable", "db_schema", "db_permission", "db_locked", "db_connections"),
    "monitor": ("alarm_missing", "alarm_no_action", "alarm_disabled", "subscription_unconfirmed", "watcher_silent"),
    "none": ("market_closed", "no_trades", "healthy"),
}
# Not faults; whoever blames anything then raises a false alarm.
NO_FAULT = frozenset(GROUPS["none"])
ALL = frozenset(code for group in GROUPS.values() for code in group)
