-- When what was found began, where anything tells: a change on AWS, a row's own time. Often earlier than first_seen.
alter table findings add column since timestamptz;
