-- What is known at :now of a symbol and of the session's trading, for the gates; the dispatch being judged is left out.
-- Profit is unknown (null) as long as one open position has no price.
with traded as materialized (
    -- what was decided in this session, what is still open from any, and what may be at the broker: an announced order
    -- (CLAIMED with a client_order_id) counts as made. Each branch has its index: the table holds years.
    select id from dispatches where decided_at between %(session_open)s and %(session_close)s and state in ('SIMULATED', 'EXECUTED')
    union
    select id from dispatches where state in ('SIMULATED', 'EXECUTED') and exit_at is null
    union
    select id from dispatches where state = 'CLAIMED' and client_order_id is not null
),
ours as (
    select d.*, s.symbol, case s.side when 'BUY' then 1 else -1 end as direction
    from traded t
    join dispatches d on d.id = t.id
    join signals s on s.id = d.signal_id
    where d.id <> %(id)s
)
select b.ts, b.close, f.ts, f.atr14, t.trades, t.open_positions, p.profit_today
from (values (1)) as one
left join lateral (
    select ts, close from bars
    where symbol = %(symbol)s and ts <= %(now)s - interval '1 minute'
    order by ts desc limit 1
) b on true
left join lateral (
    select ts, atr14 from features
    where symbol = %(symbol)s and ts <= %(now)s - interval '1 minute' and computed_at <= %(now)s
    order by ts desc limit 1
) f on true
cross join (
    select
        count(*) filter (where coalesce(decided_at, claimed_at) between %(session_open)s and %(session_close)s) as trades,
        count(*) filter (where exit_at is null or exit_at > %(now)s) as open_positions
    from ours
    where symbol = %(symbol)s
) t
cross join (
    select case when bool_or(profit is null) then null else coalesce(sum(profit), 0) end as profit_today
    from (
        select coalesce(
            o.profit,
            o.direction * o.quantity * (
                (
                    select close from bars
                    where symbol = o.symbol and ts <= %(now)s - interval '1 minute'
                    order by ts desc limit 1
                ) - o.fill_price
            )
        ) as profit
        from ours o
        where o.state = 'SIMULATED' and (o.exit_at is null or o.exit_at between %(session_open)s and %(now)s)
    ) of_positions
) p
