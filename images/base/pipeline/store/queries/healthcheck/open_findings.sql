-- The open findings.
select id, code, subject, severity, last_seen, misses from findings where cleared_at is null order by code, subject
