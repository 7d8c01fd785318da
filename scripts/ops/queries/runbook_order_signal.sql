-- The signal of an order that only the broker knows, where it is lost too; what it was sure of nobody knows any more.
insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at)
values (
    %(symbol)s, %(ts)s, %(rule)s, %(side)s, 0, 0,
    jsonb_build_object('restored_by', %(run)s::text, 'broker_order_id', %(id)s::text), %(submitted_at)s
)
on conflict (symbol, ts, rule) do nothing
