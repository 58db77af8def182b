"""Takes a request through the middlewares of its frontend; a slow check runs on a thread."""

from collections.abc import Callable

from vulcan.core.middleware.chain import (
    Chain,
    MiddlewareRequest,
    MiddlewareResponse,
    MiddlewareRun,
    PasswordCheck,
    Verdict,
)
from vulcan.proxy.password_checks import PasswordChecks

_BUSY = MiddlewareResponse(503, b"too many logins at once", b"Retry-After: 1\r\n")


class MiddlewareGate:
    """One request in its frontend's chain. `decided` gets the refusal, or None to go on."""

    __slots__ = ("_chain", "_checks", "_decided", "_now", "_request", "run")

    def __init__(
        self,
        chain: Chain,
        request: MiddlewareRequest,
        checks: PasswordChecks,
        now: Callable[[], float],
        decided: Callable[[MiddlewareResponse | None], None],
    ) -> None:
        self._chain = chain
        self._request = request
        self._checks = checks
        self._now = now
        self._decided = decided
        self.run = MiddlewareRun(request.target)

    def enter(self) -> None:
        """Go through the chain, at once or with a wait."""
        self._go(self._chain.advance(self._request, self.run, self._now()))

    def _go(self, verdict: Verdict) -> None:
        if not isinstance(verdict, PasswordCheck):
            self._decided(verdict)
        elif not self._checks.start(verdict, self._checked):
            self._decided(_BUSY)

    def _checked(self, admitted: bool) -> None:  # noqa: FBT001 - the only argument
        self._go(self._chain.resume(self._request, self.run, self._now(), admitted=admitted))
