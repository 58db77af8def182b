"""Reads the whole fleet, and shows it."""
