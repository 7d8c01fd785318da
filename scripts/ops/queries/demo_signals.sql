-- Signals in order of time, with what they rest on.
select created_at, symbol, side, confidence, (reason #>> '{sentiment,mean}')::float8 as mean_sentiment,
    (reason #>> '{sentiment,directional}')::int as headlines, (reason #>> '{features,volume_ratio}')::float8 as volume_ratio
from signals order by created_at, symbol
