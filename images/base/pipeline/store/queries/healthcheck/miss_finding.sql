-- A finding that a check did not see once.
update findings set misses = misses + 1 where id = %(id)s and cleared_at is null
