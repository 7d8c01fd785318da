-- Notes an attempt to mend an open finding before it is made; no row where its subject was tried within the last hour.
update findings
set heal_attempted_at = %(now)s
where code = %(code)s and subject = %(subject)s and cleared_at is null and not exists (
    select from findings as earlier
    where earlier.subject = %(subject)s and earlier.code = any(%(codes)s)
        and earlier.heal_attempted_at > %(now)s - %(pause)s::interval
)
returning id
