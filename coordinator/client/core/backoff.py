"""How long to wait before the store is asked again."""

import math

# A store that restarts is back within a second or two; one round trip is about 1 ms.
FIRST_S = 0.2
# A fleet of 1,000 hosts then sends about 330 requests a second, a fraction of what one member
# serves, and each host is up to date within 5 s of the store's return.
LONGEST_S = 4.0
# Far beyond LONGEST_S, and no overflow after a week without the store.
DOUBLINGS_MAX = 16


def pause_s(failures: int, roll: float) -> float:
    """Return the pause after so many failures in a row. A random `roll` in [0, 1) spreads hosts.

    The pause doubles up to LONGEST_S, and is anywhere in the upper half of that.
    """
    return min(math.ldexp(FIRST_S, min(failures - 1, DOUBLINGS_MAX)), LONGEST_S) * (1 + roll) / 2
