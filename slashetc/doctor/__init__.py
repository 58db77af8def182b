"""Examines this host, and what it sees of its fleet."""
