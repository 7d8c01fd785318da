-- One row a signal at most; the state machine of SPEC §4.6 is enforced here, whoever writes.
create table dispatches (
    id bigint generated always as identity primary key,
    signal_id bigint not null unique references signals (id),
    state text not null check (state in ('PENDING', 'CLAIMED', 'SIMULATED', 'EXECUTED', 'SKIPPED', 'FAILED', 'EXPIRED')),
    created_at timestamptz not null,
    claimed_by text,
    claimed_at timestamptz,
    lease_expires_at timestamptz,
    attempts integer not null default 0,
    decided_at timestamptz,
    mode text check (mode in ('SIMULATED', 'ALPACA_PAPER')),
    gates jsonb,
    -- on a CLAIMED row: the order may be at the broker, so it is looked up before anything else is done with the row
    client_order_id text unique check (length(client_order_id) <= 48),
    broker_order_id text unique,
    quantity double precision check (quantity > 0 and quantity < 'infinity'),
    fill_price double precision check (fill_price > 0 and fill_price < 'infinity'),
    filled_at timestamptz,
    stop_price double precision,
    target_price double precision,
    exit_price double precision,
    exit_at timestamptz,
    exit_reason text check (exit_reason in ('stop', 'target', 'session_end', 'broker')),
    profit double precision,
    error text,
    constraint dispatches_claimed check (
        state <> 'CLAIMED' or (
            claimed_by is not null and claimed_at is not null and lease_expires_at is not null
            and claimed_at < lease_expires_at
        )
    ),
    constraint dispatches_decided check ((state in ('PENDING', 'CLAIMED')) = (decided_at is null)),
    constraint dispatches_simulated check (
        state <> 'SIMULATED' or (
            mode = 'SIMULATED' and mode is not null and gates is not null and quantity is not null
            and fill_price is not null and filled_at is not null and stop_price is not null and target_price is not null
        )
    ),
    constraint dispatches_executed check (
        state <> 'EXECUTED' or (
            mode = 'ALPACA_PAPER' and mode is not null and gates is not null and quantity is not null
            and client_order_id is not null and broker_order_id is not null
        )
    ),
    constraint dispatches_skipped check (state <> 'SKIPPED' or gates is not null),
    constraint dispatches_failed check (state <> 'FAILED' or error is not null),
    constraint dispatches_exit check (
        (exit_at is null) = (exit_reason is null)
        and (exit_at is null or state in ('SIMULATED', 'EXECUTED'))
        and (exit_at is null or state <> 'SIMULATED' or (exit_price is not null and profit is not null))
    )
);
create index dispatches_open on dispatches (state) where state in ('PENDING', 'CLAIMED');
create index dispatches_positions on dispatches (signal_id) where state in ('SIMULATED', 'EXECUTED') and exit_at is null;
create index dispatches_traded on dispatches (decided_at) where state in ('SIMULATED', 'EXECUTED');

create function enforce_dispatch_state() returns trigger language plpgsql as $$
declare
    -- what may still be learned of a trade that was made: its fill (from the broker) and its end
    later constant text[] := array['fill_price', 'filled_at', 'exit_price', 'exit_at', 'exit_reason', 'profit', 'error'];
begin
    if tg_op = 'DELETE' then
        raise exception 'dispatch %: without it its signal would be dispatched again; it stays', old.id
            using errcode = 'check_violation';
    end if;
    if tg_op = 'INSERT' then
        if new.state <> 'PENDING' then
            raise exception 'dispatch of signal %: starts as %, not PENDING', new.signal_id, new.state
                using errcode = 'check_violation';
        end if;
        return new;
    end if;
    if new.signal_id <> old.signal_id then
        raise exception 'dispatch %: its signal never changes', old.id using errcode = 'check_violation';
    end if;
    if old.client_order_id is not null and new.client_order_id is distinct from old.client_order_id then
        raise exception 'dispatch %: its client_order_id never changes', old.id using errcode = 'check_violation';
    end if;
    -- CLAIMED to CLAIMED is a lease taken over, or an order announced; a final state keeps its row open for the exit alone
    if not (new.state = old.state
            or old.state = 'PENDING' and new.state in ('CLAIMED', 'EXPIRED')
            or old.state = 'CLAIMED' and new.state in ('SIMULATED', 'EXECUTED', 'SKIPPED', 'FAILED', 'EXPIRED')) then
        raise exception 'dispatch %: % to % is no transition', old.id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    if old.state = 'CLAIMED' and new.state = 'CLAIMED'
            and (new.claimed_by is distinct from old.claimed_by or new.claimed_at is distinct from old.claimed_at)
            and (new.claimed_at < old.lease_expires_at or new.attempts <> old.attempts + 1) then
        raise exception 'dispatch %: claimed by % until %', old.id, old.claimed_by, old.lease_expires_at
            using errcode = 'check_violation';
    end if;
    if old.state not in ('PENDING', 'CLAIMED') then
        if to_jsonb(new) - later <> to_jsonb(old) - later
                or (old.fill_price is not null and new.fill_price is distinct from old.fill_price)
                or (old.exit_at is not null and to_jsonb(new) <> to_jsonb(old)) then
            raise exception 'dispatch %: % is final', old.id, old.state using errcode = 'check_violation';
        end if;
    end if;
    return new;
end $$;
create trigger dispatches_state before insert or update or delete on dispatches
    for each row execute function enforce_dispatch_state();
