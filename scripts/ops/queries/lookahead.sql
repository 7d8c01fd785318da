-- Rows that know more than their time allows, by kind: must all be 0.
select 'bars_stored_before_their_end', count(*) from bars
where ts >= %(first)s and ts < %(last)s and ingested_at < ts + interval '1 minute'
union all
select 'features_before_their_bar_ended', count(*) from features
where ts >= %(first)s and ts < %(last)s and computed_at < ts + interval '1 minute'
union all
select 'features_without_their_bar', count(*) from features f
where f.ts >= %(first)s and f.ts < %(last)s
and not exists (select from bars b where b.symbol = f.symbol and b.ts = f.ts)
union all
select 'sentiment_before_its_news', count(*) from sentiment s join news n on n.id = s.news_id
where s.classified_at > %(first)s and s.classified_at <= %(settled)s
and (s.classified_at < n.fetched_at or n.published_at > n.fetched_at)
union all
select 'signals_before_their_features', count(*) from signals
where created_at > %(first)s and created_at <= %(settled)s and created_at < ts + interval '1 minute'
union all
select 'dispatches_before_their_signal', count(*) from dispatches d join signals s on s.id = d.signal_id
where s.created_at > %(first)s and s.created_at <= %(settled)s and coalesce(d.filled_at, d.decided_at, d.created_at) < s.created_at
