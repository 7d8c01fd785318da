-- How many rows of each kind the session left, and of which kinds they are.
select 'features' as what, count(*) as rows, '' as kinds from features
union all
select 'news', count(*), '' from news
union all
select 'sentiments', sum(n)::bigint, string_agg(n || ' ' || label, ', ' order by label)
from (select label, count(*) as n from sentiment group by label) as by_label
union all
select 'signals', sum(n)::bigint, string_agg(n || ' ' || side, ', ' order by side)
from (select side, count(*) as n from signals group by side) as by_side
union all
select 'dispatches', sum(n)::bigint, string_agg(n || ' ' || state, ', ' order by state)
from (select state, count(*) as n from dispatches group by state) as by_state
union all
select 'gaps', sum(n)::bigint, string_agg(n || ' ' || class || ', ' || filled || ' filled', '; ' order by class)
from (select class, count(*) as n, count(backfilled_at) as filled from gaps group by class) as by_class
