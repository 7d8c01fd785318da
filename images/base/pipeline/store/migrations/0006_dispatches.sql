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
    client_order_id text unique check (length(client_order_id) <= 48),
    broker_order_id text,
    quantity double precision check (quantity > 0),
    fill_price double precision,
    filled_at timestamptz,
    stop_price double precision,
    target_price double precision,
    exit_price double precision,
    exit_at timestamptz,
    exit_reason text check (exit_reason in ('stop', 'target', 'session_end', 'broker')),
    profit double precision,
    error text,
    constraint dispatches_claimed check (state <> 'CLAIMED' or (claimed_by is not null and lease_expires_at is not null)),
    constraint dispatches_decided check ((state in ('PENDING', 'CLAIMED')) = (decided_at is null)),
    constraint dispatches_simulated check (state <> 'SIMULATED' or (quantity is not null and fill_price is not null))
);
create index dispatches_open on dispatches (state) where state in ('PENDING', 'CLAIMED');

create function enforce_dispatch_state() returns trigger language plpgsql as $$
begin
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
    -- CLAIMED to CLAIMED is a lease taken over; a final state keeps its row open for the exit alone
    if not (new.state = old.state and old.state <> 'CLAIMED'
            or old.state = 'PENDING' and new.state in ('CLAIMED', 'EXPIRED')
            or old.state = 'CLAIMED' and new.state in ('CLAIMED', 'SIMULATED', 'EXECUTED', 'SKIPPED', 'FAILED', 'EXPIRED')) then
        raise exception 'dispatch %: % to % is no transition', old.id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger dispatches_state before insert or update on dispatches
    for each row execute function enforce_dispatch_state();
