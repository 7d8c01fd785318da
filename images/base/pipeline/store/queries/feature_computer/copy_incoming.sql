-- The encoder writes the columns in the order of the table.
copy incoming from stdin (format binary)
