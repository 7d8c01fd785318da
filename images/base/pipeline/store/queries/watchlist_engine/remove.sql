-- Deletes the rows of symbols that are no longer followed, unless they are of a later instant.
delete from watchlist where symbol <> all (%(symbols)s::text[]) and computed_at < %(now)s
