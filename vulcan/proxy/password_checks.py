"""Checks passwords on a thread, so that no other request waits for scrypt."""

import asyncio
from collections.abc import Callable
from functools import partial

from daemonkit.process.check_thread import CheckThread
from vulcan.core.middleware.chain import PasswordCheck

# Different checks that run or wait in a worker: of usual secrets, those of three seconds. Each
# takes a whole core and 16 MiB, and there are several workers, so a worker runs one at a time.
CHECKS_MAX = 64


class PasswordChecks:
    """The checks of one worker. Requests with the same field wait for the same check."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thread = CheckThread[bool](loop, "passwords", broken=False)

    def start(self, check: PasswordCheck, decided: Callable[[bool], None]) -> bool:
        """Call `decided` with the result later; return False when there are too many checks."""
        users, field = check.users, check.authorization
        # The key holds the users, so that no others can get the same id meanwhile.
        key = _ById(users), field
        admits = partial(users.admits, field)
        return self._thread.start(key, admits, decided, at_most=CHECKS_MAX)

    def close(self) -> None:
        """Check no more."""
        self._thread.close()


class _ById:
    """An object as a part of a key, by its identity."""

    __slots__ = ("_found",)

    def __init__(self, found: object) -> None:
        self._found = found

    def __hash__(self) -> int:
        return id(self._found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self._found is other._found
