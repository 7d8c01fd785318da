-- When the watcher last tried to mend it by itself: no schedule is tried twice within an hour.
alter table findings add column heal_attempted_at timestamptz;
