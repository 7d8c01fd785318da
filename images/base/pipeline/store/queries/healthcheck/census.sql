-- How many rows of each table belong to the time in [:start, :end), and a checksum of them that no order changes.
-- Bars and features have no index by time alone, so each symbol is looked up by itself (a loose index scan).
with recursive symbols as (
    (select symbol from bars order by symbol limit 1)
    union all
    select (select b.symbol from bars b where b.symbol > s.symbol order by b.symbol limit 1) from symbols s where s.symbol is not null
)
select 'bars', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from symbols s join bars t on t.symbol = s.symbol and t.ts >= %(start)s and t.ts < %(end)s
union all
select 'features', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from symbols s join features t on t.symbol = s.symbol and t.ts >= %(start)s and t.ts < %(end)s
union all
select 'news', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from news t where t.published_at >= %(start)s and t.published_at < %(end)s
union all
select 'sentiment', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from sentiment t where t.published_at >= %(start)s and t.published_at < %(end)s
union all
select 'signals', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from signals t where t.created_at >= %(start)s and t.created_at < %(end)s
union all
select 'dispatches', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from dispatches t where t.created_at >= %(start)s and t.created_at < %(end)s
union all
select 'task_runs', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)
from task_runs t where t.started_at >= %(start)s and t.started_at < %(end)s
