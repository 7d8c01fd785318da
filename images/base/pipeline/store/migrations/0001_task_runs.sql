-- The run ledger: one row an execution, written before and after the work. A row without outcome is running or was killed.
create table task_runs (
    service text not null,
    execution_id text not null,
    scheduled_for timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome text check (outcome in ('OK', 'SKIPPED', 'NO_INPUT', 'DEGRADED', 'FAILED')),
    rows_in bigint not null default 0 check (rows_in >= 0),
    rows_out bigint not null default 0 check (rows_out >= 0),
    counts jsonb not null default '{}',
    attempts integer not null default 1,
    trigger_arn text,
    image_digest text,
    git_sha text,
    parameter_versions jsonb not null default '{}',
    error text,
    error_code text,
    primary key (service, execution_id),
    check ((outcome is null) = (finished_at is null))
);
create index task_runs_by_time on task_runs (service, started_at desc);
