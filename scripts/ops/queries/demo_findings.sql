-- What the healthcheck found, open or cleared since.
select first_seen, cleared_at, severity, code, subject, summary from findings order by first_seen, code, subject
