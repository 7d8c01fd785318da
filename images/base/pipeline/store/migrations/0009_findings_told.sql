-- When people were last told of it, so that a message that could not be sent is sent by the next healthcheck.
alter table findings add column told_at timestamptz;
