-- Opens a finding; (code, subject) is open once at most.
insert into findings (code, subject, severity, summary, evidence, repair, since, first_seen, last_seen)
values (
    %(code)s, %(subject)s, %(severity)s, %(summary)s, %(evidence)s, %(repair)s, %(since)s, %(now)s, %(now)s
)
on conflict (code, subject) where cleared_at is null do nothing
