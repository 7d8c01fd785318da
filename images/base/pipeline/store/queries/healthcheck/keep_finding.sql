-- A finding that is still there, with what was seen now; never moves back in time. Its beginning is the earliest told.
update findings
set severity = %(severity)s, summary = %(summary)s, evidence = %(evidence)s, repair = %(repair)s,
    since = least(since, %(since)s::timestamptz), last_seen = %(now)s, misses = 0
where id = %(id)s and last_seen <= %(now)s and cleared_at is null
