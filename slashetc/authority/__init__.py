"""Where the authority's key is: what it signs, what it remembers, how it is kept."""
