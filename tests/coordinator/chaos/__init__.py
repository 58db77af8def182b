"""Clusters of real processes, each member in a network namespace of its own, under faults."""
