-- All that the healthcheck found after :start, open or cleared since, oldest first.
select id, code, subject, severity, summary, evidence, repair, first_seen, last_seen, cleared_at
from findings where last_seen > %(start)s order by first_seen, code, subject
