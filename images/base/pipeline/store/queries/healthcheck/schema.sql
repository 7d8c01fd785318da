-- Every column, constraint, index, trigger and function of the pipeline's schema, one line each, in words that compare.
select line collate "C" as line from (
    select 'column ' || tables.relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
        || case when attnotnull then ' not null' else '' end as line
    from pg_attribute
    join pg_class as tables on tables.oid = attrelid
    where tables.relkind = 'r' and tables.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
    union all
    select 'constraint ' || tables.relname || '.' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
    from pg_constraint
    join pg_class as tables on tables.oid = conrelid
    -- not-null constraints have lines here since PostgreSQL 18 only; the columns say it
    where tables.relnamespace = 'public'::regnamespace and contype <> 'n'
    union all
    select 'index ' || indexdef from pg_indexes where schemaname = 'public'
    union all
    select 'trigger ' || tables.relname || '.' || tgname || ' ' || tgenabled::text
    from pg_trigger
    join pg_class as tables on tables.oid = tgrelid
    where tables.relnamespace = 'public'::regnamespace and not tgisinternal
    union all
    select 'function ' || proname || ' ' || md5(prosrc) from pg_proc where pronamespace = 'public'::regnamespace
) as objects
order by 1
