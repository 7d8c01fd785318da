-- Closes the run's record with what came of it.
update task_runs
set finished_at = %(finished_at)s, outcome = %(outcome)s, rows_in = %(rows_in)s, rows_out = %(rows_out)s,
    counts = %(counts)s, parameter_versions = %(parameter_versions)s, error = %(error)s, error_code = %(error_code)s
where service = %(service)s and execution_id = %(execution_id)s
