-- How many symbols the watchlist ranks, and when it was last computed, as known at :now.
select count(*), max(computed_at) from watchlist where computed_at <= %(now)s
