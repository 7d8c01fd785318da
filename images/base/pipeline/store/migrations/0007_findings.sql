-- What the healthcheck found: open while cleared_at is null, one open row a (code, subject).
create table findings (
    id bigint generated always as identity primary key,
    code text not null,
    subject text not null,
    severity text not null check (severity in ('critical', 'warning', 'info', 'unknown')),
    summary text not null,
    evidence jsonb not null,
    repair text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    cleared_at timestamptz,
    misses integer not null default 0, -- checks in a row that did not see it (hysteresis)
    check (first_seen <= last_seen)
);
create unique index findings_open on findings (code, subject) where cleared_at is null;
