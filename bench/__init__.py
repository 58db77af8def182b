"""Side-by-side measurements: ours and the peer in one run, alternating, medians."""
