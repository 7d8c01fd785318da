-- What the server knows of one login: whether it may connect, powers of its own that no service needs, its memberships.
select
  rolcanlogin and coalesce(rolvaliduntil > now(), true) as may_connect,
  array_remove(array[
    case when rolsuper then 'superuser' end,
    case when rolreplication then 'replication' end,
    case when rolbypassrls then 'bypassrls' end,
    case when rolcreaterole then 'createrole' end,
    case when rolcreatedb then 'createdb' end
  ], null) as powers,
  array(
    select granted.rolname::text
    from pg_auth_members as member join pg_roles as granted on granted.oid = member.roleid
    where member.member = login.oid
    order by 1
  ) as memberships
from pg_roles as login
where rolname = %s
