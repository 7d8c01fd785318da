-- How many changes of bars wait for their features (counted up to ten thousand).
select count(*) from (select from bars_changed limit 10000) as waiting
