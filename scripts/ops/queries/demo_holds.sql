-- Why no signal was raised: how often each rule stopped one.
select c.key, sum(c.value::int) as times from task_runs r cross join jsonb_each_text(r.counts) as c
where c.key like 'hold\_%%' group by c.key order by times desc
