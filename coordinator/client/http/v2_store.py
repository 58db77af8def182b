"""The Store of our coordinator and of any etcd that serves the v2 API, over HTTP.

What the servers do with each request is etcd's v2 API document; its traps are named at the
lines that avoid them.
"""

from collections.abc import Callable, Sequence
from typing import Self, TypeVar, assert_never

from coordinator.client.core import key_paths, v2_responses
from coordinator.client.core.endpoint import Kind, Tls
from coordinator.client.core.errors import CompareFailed, Unavailable
from coordinator.client.core.store_protocol import (
    Absent,
    AtIndex,
    DeleteCondition,
    Entry,
    Listing,
    Present,
    PutCondition,
    WithValue,
)
from coordinator.client.core.validation import checked_condition, checked_text, checked_ttl
from coordinator.client.http.endpoint_pool import Endpoints, of
from coordinator.client.http.http_client import Request
from coordinator.client.http.v2_watch import Tail
from coordinator.client.prefetch import Feed

# Each lost round means that another writer won; so many in a row is a storm, not bad luck.
SWAPS_MAX = 32
T = TypeVar("T")


class HttpStore:
    """The v2 API on a list of endpoints; nothing is asked before the first call. Thread-safe."""

    def __init__(self, endpoints: str | Sequence[str] | Endpoints, tls: Tls | None = None) -> None:
        self._endpoints = of(endpoints, tls)

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shows_hidden(self) -> bool:
        """Say whether listings and watches have keys with a segment that begins with `_`."""
        return self._endpoints.kind() is Kind.COORDINATOR

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one file."""
        params = {"quorum": "true"} if quorum else {}
        return self._ask(key, Request("GET", _path(key), params)).entry()

    def list(self, prefix: str) -> Listing:
        """Read every file below `prefix` at one index, linearizably.

        A follower that lags could otherwise answer with an index the caller has seen pass.
        """
        request = Request(
            "GET",
            key_paths.url_path(key_paths.checked_prefix(prefix)),
            {"recursive": "true", "sorted": "true", "quorum": "true"},
            extensions={"hidden": "true"},
        )
        reply = self._endpoints.ask(request)
        if reply.answer.error_code in v2_responses.MISSING_CODES:
            return Listing(reply.cluster, reply.answer.index, ())
        if reply.answer.error_code:
            raise reply.answer.error(f"list {prefix}")
        if reply.index is None:
            raise Unavailable(f"list {prefix}: the answer has lost its X-Etcd-Index on the way")
        # Sorted by path segment already, which is nearly the order of whole keys.
        entries = sorted(reply.answer.node.files(), key=lambda entry: entry.key)
        return Listing(reply.cluster, reply.index, tuple(entries))

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one file, atomically with its condition; no TTL given removes one."""
        checked_condition(when, key)
        form = {"value": checked_text(value, f"value of {key}")}
        if ttl_s is not None:
            form["ttl"] = str(checked_ttl(ttl_s, key))
        match when:
            case None:
                pass
            case Absent():
                form["prevExist"] = "false"
            case Present() if value:
                form["prevExist"] = "true"
            case AtIndex(modified):
                form["prevIndex"] = str(modified)
            case WithValue(old) if old:
                form["prevValue"] = old
            case Present() | WithValue():
                # An update to "" is taken for one of a directory's TTL, and an empty
                # prevValue is refused: both are said by the index instead.
                old_value = when.value if isinstance(when, WithValue) else None
                return self._swap(
                    key, old_value, lambda at: self.put(key, value, ttl_s=ttl_s, when=at)
                )
            case _:
                assert_never(when)
        request = Request("PUT", _path(key), form=form, once=when is not None)
        return self._ask(key, request).entry()

    def refresh(self, key: str, ttl_s: int) -> None:
        """Start the key's TTL anew without waking watchers."""
        form = {"refresh": "true", "ttl": str(checked_ttl(ttl_s, key))}
        self._ask(key, Request("PUT", _path(key), form=form))

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one file, or with `recursive` all below the key. Never sent twice."""
        checked_condition(when, key)
        params = {"recursive": "true"} if recursive else {}
        match when:
            case None:
                pass
            case AtIndex(modified):
                params["prevIndex"] = str(modified)
            case WithValue(""):
                self._swap(key, "", lambda at: self.delete(key, when=at))
                return
            case WithValue(old):
                params["prevValue"] = old
            case _:
                assert_never(when)
        self._ask(key, Request("DELETE", _path(key), params, once=True))

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> Feed:
        """Follow changes at or below `prefix` with an index above `after`."""
        return Feed(Tail(self._endpoints, key_paths.checked_prefix(prefix), after, cluster))

    def _ask(self, key: str, request: Request) -> v2_responses.Node:
        answer = self._endpoints.ask(request).answer
        if answer.error_code:
            raise answer.error(f"{request.method.lower()} {key}")
        return answer.node

    def _swap(self, key: str, old: str | None, act: Callable[[AtIndex], T]) -> T:
        for _ in range(SWAPS_MAX):
            entry = self.get(key)
            if old is not None and entry.value != old:
                raise CompareFailed(f"{key} has the value {entry.value[:80]!r}, not {old!r}")
            try:
                return act(AtIndex(entry.modified))
            except CompareFailed:
                continue
        raise Unavailable(f"{key} changed {SWAPS_MAX} times under this call: try again")


def _path(key: str) -> str:
    return key_paths.url_path(key_paths.checked_key(key))
