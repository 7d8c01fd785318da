-- Opens the run's record, or reopens that of an attempt which failed or was killed; no row: this execution has completed.
insert into task_runs (service, execution_id, scheduled_for, started_at, trigger_arn, image_digest, git_sha)
values (%(service)s, %(execution_id)s, %(scheduled_for)s, %(started_at)s, %(trigger_arn)s, %(image_digest)s, %(git_sha)s)
on conflict (service, execution_id) do update
set attempts = task_runs.attempts + 1, started_at = excluded.started_at, finished_at = null, outcome = null,
    image_digest = excluded.image_digest, git_sha = excluded.git_sha, error = null, error_code = null
where task_runs.outcome is null or task_runs.outcome = 'FAILED'
returning attempts
