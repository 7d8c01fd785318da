-- Makes way for a second batch within one transaction.
drop table if exists pg_temp.incoming
