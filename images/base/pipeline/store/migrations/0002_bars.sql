-- One-minute bars, the minutes that have none, and the bars that were refused. No service asks for bars by time alone,
-- and a second index would cost a third of the speed at which they are stored.
create table bars (
    symbol text not null,
    ts timestamptz not null,
    open double precision not null,
    high double precision not null,
    low double precision not null,
    close double precision not null,
    volume bigint not null,
    trade_count integer,
    vwap double precision,
    feed text not null,
    ingested_at timestamptz not null,
    primary key (symbol, ts),
    constraint bars_minute check (ts = date_trunc('minute', ts, 'UTC')),
    -- NaN sorts above infinity, so "< infinity" refuses both
    constraint bars_prices check (low > 0 and high < 'infinity'),
    constraint bars_range check (low <= open and low <= close and open <= high and close <= high),
    constraint bars_volume check (volume >= 0)
);

create table bars_rejected (
    symbol text not null,
    ts timestamptz not null,
    reason text not null,
    bar jsonb not null,
    feed text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    primary key (symbol, ts, reason)
);

-- first_minute and last_minute are both missing minutes; a gap that the provider filled later keeps its row, backfilled.
create table gaps (
    symbol text not null,
    first_minute timestamptz not null,
    last_minute timestamptz not null,
    class text not null check (class in ('closed', 'no_trade', 'feed_late', 'our_outage', 'rejected')),
    detected_at timestamptz not null,
    backfilled_at timestamptz,
    primary key (symbol, first_minute),
    check (first_minute <= last_minute)
);
create index gaps_by_time on gaps (last_minute);

-- What has changed since features were last computed: whoever writes bars or gaps, the triggers below note it, in the same transaction.
create table bars_changed (
    id bigint generated always as identity primary key,
    symbol text not null,
    first_ts timestamptz not null,
    last_ts timestamptz not null
);

create function note_changed_bars() returns trigger language plpgsql security definer set search_path = public as $$
begin
    insert into bars_changed (symbol, first_ts, last_ts) select symbol, min(ts), max(ts) from changed group by symbol;
    return null;
end $$;
create trigger bars_inserted after insert on bars
    referencing new table as changed for each statement execute function note_changed_bars();
create trigger bars_updated after update on bars
    referencing new table as changed for each statement execute function note_changed_bars();
create trigger bars_deleted after delete on bars
    referencing old table as changed for each statement execute function note_changed_bars();

-- Only lost minutes mark features (gap_minutes); a minute without a trade does not.
create function note_changed_gaps() returns trigger language plpgsql security definer set search_path = public as $$
begin
    insert into bars_changed (symbol, first_ts, last_ts)
    select symbol, min(first_minute), max(last_minute) from changed
    where class in ('our_outage', 'feed_late', 'rejected') group by symbol;
    return null;
end $$;
create trigger gaps_inserted after insert on gaps
    referencing new table as changed for each statement execute function note_changed_gaps();
create trigger gaps_updated after update on gaps
    referencing new table as changed for each statement execute function note_changed_gaps();
create trigger gaps_deleted after delete on gaps
    referencing old table as changed for each statement execute function note_changed_gaps();
