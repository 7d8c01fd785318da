-- No statement of this transaction waits long, for a lock or for itself.
select set_config('lock_timeout', '1s', true), set_config('statement_timeout', '10s', true)
