"""The store, as the fleet sees it: its own records, the users, the members."""
