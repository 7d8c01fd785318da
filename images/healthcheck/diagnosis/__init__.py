"""From findings to causes: what is broken, what merely follows, what was suspected wrongly, what nobody can tell."""
