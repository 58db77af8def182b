"""A bound on the requests that are sent again, so that retries do not overload a backend."""

# Retries may be this part of all requests. The reserve lets quiet backends retry some too.
RETRY_SHARE = 0.2
RETRY_RESERVE = 10.0


class RetryBudget:
    """The retries that one backend may still get."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = RETRY_RESERVE

    def deposit(self) -> None:
        """Count a request that is sent for the first time."""
        if self._left < RETRY_RESERVE:
            self._left += RETRY_SHARE

    def withdraw(self) -> bool:
        """Take one retry; return False when none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
