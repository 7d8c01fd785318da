-- A gate was closed: the signal is not traded, and the gates tell why.
update dispatches
set state = 'SKIPPED', decided_at = %(now)s, mode = %(mode)s, gates = %(gates)s
where id = %(id)s
