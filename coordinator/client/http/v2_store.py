"""The Store of our coordinator and of any etcd that serves the v2 API, over HTTP.

etcd's v2 API document says what the servers do with each request. A comment at each of its traps
says how the code avoids it.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Self, TypeVar, assert_never

from coordinator.client.core import key_paths, v2_responses
from coordinator.client.core.endpoint import ServerKind
from coordinator.client.core.errors import CompareFailed, KeyNotFound, NotAFile, Unavailable
from coordinator.client.core.http_request import HttpRequest
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
from coordinator.client.http.endpoint_pool import EndpointPool, of
from coordinator.client.http.tls_files import Tls
from coordinator.client.http.v2_watch import V2ChangeStream
from coordinator.client.prefetch import PrefetchedWatch

# Each lost attempt means that another writer won; so many in a row is a storm, not bad luck.
ATTEMPTS_MAX = 32
T = TypeVar("T")


class HttpStore:
    """The v2 API on a list of endpoints; nothing is asked before the first call. Thread-safe."""

    def __init__(
        self, endpoints: str | Sequence[str] | EndpointPool, tls: Tls | None = None
    ) -> None:
        self._endpoints = of(endpoints, tls)

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shows_hidden(self) -> bool:
        """Return whether listings and watches have keys with a segment that begins with `_`."""
        return self._endpoints.kind() is ServerKind.COORDINATOR

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one key."""
        params = {"quorum": "true"} if quorum else {}
        return self._ask(key, HttpRequest("GET", _path(key), params)).entry()

    def list(self, prefix: str) -> Listing:
        """Read every key below `prefix` at one index, linearizably.

        Otherwise a follower that lags could answer with an index that the caller is already past.
        """
        request = HttpRequest(
            "GET",
            key_paths.url_path(key_paths.checked_prefix(prefix)),
            {"recursive": "true", "sorted": "true", "quorum": "true"},
            extensions={"hidden": "true"},
        )
        reply = self._endpoints.ask(request)
        if reply.response.error_code in v2_responses.MISSING_CODES:
            return Listing(reply.cluster, reply.response.index, ())
        if reply.response.error_code:
            raise reply.response.error(f"list {prefix}")
        if reply.index is None:
            raise Unavailable(
                f"list {prefix}: the response lost its X-Etcd-Index header on the way"
            )
        # Sorted by path segment already, which is nearly the order of whole keys.
        entries = sorted(reply.response.node.files(), key=lambda entry: entry.key)
        return Listing(reply.cluster, reply.index, tuple(entries))

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one key, atomically with its condition. Without a TTL the key does not expire."""
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
            case AtIndex(modified, read):
                form["prevIndex"] = str(modified)
                if read:
                    form["prevValue"] = read
            case WithValue(old) if old:
                form["prevValue"] = old
            case Present() | WithValue():
                # A server takes an update to "" for one of a directory's TTL, and refuses an empty
                # prevValue. Both conditions are put as one on the index instead.
                old_value = when.value if isinstance(when, WithValue) else None
                return self._swap(
                    key, old_value, lambda at: self.put(key, value, ttl_s=ttl_s, when=at)
                )
            case _:
                assert_never(when)
        request = HttpRequest("PUT", _path(key), form=form, once=when is not None)
        return self._ask(key, request).entry()

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart the key's TTL without waking watchers."""
        form = {"refresh": "true", "ttl": str(checked_ttl(ttl_s, key))}
        self._ask(key, HttpRequest("PUT", _path(key), form=form))

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key, or with `recursive` all below the key. Never sent twice."""
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
        self._ask(key, HttpRequest("DELETE", _path(key), params, once=True))

    def remove_empty(self, directory: str) -> None:
        """Remove a directory if it is there and holds nothing, not even a directory."""
        with contextlib.suppress(KeyNotFound, NotAFile):  # NotAFile: it is not empty
            self._ask(directory, HttpRequest("DELETE", _path(directory), {"dir": "true"}))

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> PrefetchedWatch:
        """Follow changes at or below `prefix` with an index above `after`."""
        key_paths.checked_prefix(prefix)
        return PrefetchedWatch(V2ChangeStream(self._endpoints, prefix, after, cluster))

    def _ask(self, key: str, request: HttpRequest) -> v2_responses.V2Node:
        response = self._endpoints.ask(request).response
        if response.error_code:
            raise response.error(f"{request.method.lower()} {key}")
        return response.node

    def _swap(self, key: str, old: str | None, act: Callable[[AtIndex], T]) -> T:
        for _ in range(ATTEMPTS_MAX):
            entry = self.get(key)
            if old is not None and entry.value != old:
                raise CompareFailed(f"{key} has the value {entry.value[:80]!r}, not {old!r}")
            try:
                return act(AtIndex(entry.modified))
            except CompareFailed:
                continue
        raise Unavailable(f"{key} changed {ATTEMPTS_MAX} times during this call: try again")


def _path(key: str) -> str:
    return key_paths.url_path(key_paths.checked_key(key))
