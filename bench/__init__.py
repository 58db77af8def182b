"""Measure our programs and their peers in turn, in one run, and compare the medians."""
