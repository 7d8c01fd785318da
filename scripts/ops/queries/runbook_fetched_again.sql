-- Bars that were stored since :since and are older than that: those of the stop itself, and what the restore had lost.
select count(*) from bars where ingested_at >= %(since)s and ts < %(since)s and ts >= %(point)s - interval '7 days'
