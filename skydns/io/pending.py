"""Replies that must wait: for another server, or for the store."""

from collections.abc import Callable
from typing import assert_never

from skydns.core.forward.forwarder import PendingForward, Prefetch
from skydns.core.responder import Pending, PendingLookup, Responder
from skydns.io.hidden_keys import HiddenKeyReader
from skydns.io.upstream import UpstreamClient

# Sends a late reply; None ends a query that gets none.
Send = Callable[[bytes | None], None]
Resolve = Callable[[Pending, Send], None]


class PendingReplies:
    """Waits for other servers or the store, then sends the replies."""

    def __init__(
        self, responder: Responder, upstream: UpstreamClient, hidden_keys: HiddenKeyReader
    ) -> None:
        self._responder, self._upstream, self._hidden_keys = responder, upstream, hidden_keys

    def resolve(self, pending: Pending, send: Send) -> None:
        """Send the reply as soon as it can be made."""
        match pending:
            case PendingForward():
                self._upstream.forward(pending, send)
            case Prefetch():
                send(pending.reply)
                self._upstream.forward(pending.forward, _discard)
            case PendingLookup():
                self._hidden_keys.read(
                    pending.name, lambda found: self._resume(pending, found, send)
                )
            case _:
                assert_never(pending)

    def _resume(self, pending: PendingLookup, found: bool, send: Send) -> None:  # noqa: FBT001
        reply = self._responder.resume(pending, found=found)
        if isinstance(reply, bytes) or reply is None:
            send(reply)
        else:
            self.resolve(reply, send)


def _discard(reply: bytes | None) -> None:
    """Drop the reply of a prefetch: the cache has it now."""
