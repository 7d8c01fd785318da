-- What people have not been told yet: what is open, and the end of what they were told of.
select id, code, subject, severity, summary, evidence, repair, since, first_seen, cleared_at
from findings
where (cleared_at is null and told_at is null) or told_at < cleared_at
order by id
