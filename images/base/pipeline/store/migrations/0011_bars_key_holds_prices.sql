-- A window of bars is read from the key alone: a minute of the whole market lies on as many pages of the table as it has
-- bars, of the key on a hundredth of them. One in eleven of the server's seconds for storing bars pays for it. A table
-- with bars is locked while its key is built anew, a second or two a million bars.
alter table bars
    drop constraint bars_pkey,
    add constraint bars_pkey primary key (symbol, ts) include (high, low, close, volume);
-- Only pages that are known as visible to all are spared. By default that waits until a fifth of all bars are new.
alter table bars set (autovacuum_vacuum_insert_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0.01);
