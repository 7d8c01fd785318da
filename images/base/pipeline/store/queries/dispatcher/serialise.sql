-- Lets one decision be made at a time, until the transaction ends: counts per symbol and the day's loss stay true while judged.
select pg_advisory_xact_lock(hashtextextended('dispatches:decide', 0))
