"""Limits on guesses of passwords, for each address and for each user.

Each of them has a few guesses at once, and more as time goes on. A right password gives its guess
back, and a password that is in the cache needs none: nobody can lock a user out who is at work.
"""

from collections import OrderedDict

# Guesses at once and in a minute after them: at most 1.5 % of a core is spent on one address.
ADDRESS_GUESSES_MAX = 10
ADDRESS_GUESSES_A_MINUTE = 12
# Those of one user from all addresses.
USER_GUESSES_MAX = 20
USER_GUESSES_A_MINUTE = 30
# Addresses and users that are remembered; the one that guessed longest ago goes first.
REMEMBERED_MAX = 4096


class GuessLimits:
    """The guesses that are left. The time is an argument, in seconds."""

    def __init__(self) -> None:
        self._addresses = _Buckets(ADDRESS_GUESSES_MAX, ADDRESS_GUESSES_A_MINUTE / 60)
        self._users = _Buckets(USER_GUESSES_MAX, USER_GUESSES_A_MINUTE / 60)

    def take(self, address: str, user: str, now_s: float) -> float:
        """Take one guess; if there is none, return the seconds until there is one, else 0."""
        wait_s = max(self._addresses.wait_s(address, now_s), self._users.wait_s(user, now_s))
        if not wait_s:
            self._addresses.add(address, -1.0, now_s)
            self._users.add(user, -1.0, now_s)
        return wait_s

    def give_back(self, address: str, user: str, now_s: float) -> None:
        """Give a guess back: it was right."""
        self._addresses.add(address, 1.0, now_s)
        self._users.add(user, 1.0, now_s)


class _Buckets:
    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, now_s: float) -> float:
        left = self._now(who, now_s)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._rate

    def add(self, who: str, change: float, now_s: float) -> None:
        self._left[who] = (min(self._burst, self._now(who, now_s) + change), now_s)
        self._left.move_to_end(who)
        if len(self._left) > REMEMBERED_MAX:
            self._left.popitem(last=False)

    def _now(self, who: str, now_s: float) -> float:
        left, since_s = self._left.get(who, (self._burst, now_s))
        return min(self._burst, left + (now_s - since_s) * self._rate)
