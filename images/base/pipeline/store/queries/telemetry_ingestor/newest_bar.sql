-- The newest minute before :now that has a bar of any symbol.
select max(ts) from bars where ts < %(now)s
