-- Now people have been told of these.
update findings set told_at = greatest(%(now)s, cleared_at) where id = any(%(ids)s)
