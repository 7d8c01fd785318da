-- The next part of the symbols brings its own.
drop table incoming
