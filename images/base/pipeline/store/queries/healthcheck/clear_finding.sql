-- A finding that is gone.
update findings set cleared_at = %(now)s, misses = misses + 1 where id = %(id)s and last_seen <= %(now)s and cleared_at is null
