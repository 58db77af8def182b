"""This host: its files, its units, its address and clock."""
