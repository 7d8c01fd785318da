-- What is known at :now of a symbol and of the session's trading, for the gates; the dispatch being judged is left out.
-- Profit is unknown (null) as long as one open position has no price.
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
cross join lateral (
    -- an announced order (CLAIMED with a client_order_id) counts as made: it may be at the broker
    select
        count(*) filter (
            where coalesce(d.decided_at, d.claimed_at) between %(session_open)s and %(session_close)s
        ) as trades,
        count(*) filter (where d.exit_at is null or d.exit_at > %(now)s) as open_positions
    from dispatches d
    join signals s on s.id = d.signal_id
    where s.symbol = %(symbol)s and d.id <> %(id)s
        and (d.state in ('SIMULATED', 'EXECUTED') or (d.state = 'CLAIMED' and d.client_order_id is not null))
) t
cross join lateral (
    select case when bool_and(profit is not null) is false then null else coalesce(sum(profit), 0) end as profit_today
    from (
        select coalesce(
            d.profit,
            case s.side when 'BUY' then 1 else -1 end * d.quantity * (
                (select close from bars where symbol = s.symbol and ts <= %(now)s - interval '1 minute' order by ts desc limit 1)
                - d.fill_price
            )
        ) as profit
        from dispatches d
        join signals s on s.id = d.signal_id
        where d.state = 'SIMULATED'
            and (d.exit_at is null or d.exit_at between %(session_open)s and %(now)s)
    ) of_positions
) p
