-- Records a run that stood back because an earlier one is still going; a record of the same execution stays as it is.
insert into task_runs (service, execution_id, scheduled_for, started_at, finished_at, outcome, trigger_arn, image_digest, git_sha, error)
values (%(service)s, %(execution_id)s, %(scheduled_for)s, %(started_at)s, %(started_at)s, 'SKIPPED', %(trigger_arn)s, %(image_digest)s, %(git_sha)s, %(error)s)
on conflict (service, execution_id) do nothing
