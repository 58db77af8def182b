"""Measurements of our programs beside their peers, in turn, in one run; medians."""
