"""The state of a fleet, made of what was read of it."""
