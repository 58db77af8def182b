"""How long to wait before the store is asked again. Pure."""

import math

# A store that restarts is back within a second or two; one round trip is about 1 ms.
FIRST_S = 0.2
# A fleet of 1,000 hosts then asks about 330 times a second, a fraction of what one member answers,
# and each is right again within 5 s of the store's return.
LONGEST_S = 4.0
# Beyond LONGEST_S by far, and no overflow after a week without the store.
DOUBLINGS_MAX = 16


def pause_s(failures: int, roll: float) -> float:
    """Return the pause after so many failures in a row; `roll` in [0, 1) spreads the fleet.

    It doubles up to LONGEST_S, and lies anywhere in the upper half of that.
    """
    return min(math.ldexp(FIRST_S, min(failures - 1, DOUBLINGS_MAX)), LONGEST_S) * (1 + roll) / 2
