-- What is open, and what was cleared since :since, newest first, :limit of both at most.
select code, subject, severity, summary, evidence, repair, since, first_seen, last_seen, cleared_at
from findings
where cleared_at is null or cleared_at > %(since)s
order by cleared_at is not null, first_seen desc, id limit %(limit)s
