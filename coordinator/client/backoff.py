"""How long to wait before the store is asked again. Pure."""

# A store that restarts is back within a second or two; one round trip is about 1 ms.
FIRST_S = 0.2
# A fleet of 1,000 hosts then asks about 150 times a second, and each is back soon after it.
LONGEST_S = 10.0


def pause_s(failures: int, roll: float) -> float:
    """Return the pause after so many failures in a row; `roll` in [0, 1) spreads the fleet.

    It doubles up to LONGEST_S, and lies anywhere in the upper half of that.
    """
    doublings = min(failures - 1, 16)
    return min(FIRST_S * 2**doublings, LONGEST_S) * (1 + roll) / 2
