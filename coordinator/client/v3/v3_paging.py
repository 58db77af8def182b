"""Lists a prefix page by page, all at one revision."""

from coordinator.client.core import v3_requests
from coordinator.client.core.errors import HistoryCleared
from coordinator.client.core.v3_responses import (
    KeyValue,
    RangeResponse,
    ResponseHeader,
    TxnResponse,
)
from coordinator.client.v3.gateway import Gateway

# The first page shows how large values are; later pages have about PAGE_BYTES each.
FIRST_PAGE_KEYS = 500
PAGE_BYTES = 8 * 2**20
PAGE_KEYS_MAX = 50_000


def read(gateway: Gateway, prefix: str) -> tuple[ResponseHeader, list[KeyValue]]:
    """Return the pairs at and below a prefix, sorted by key, and the revision they are of.

    HistoryCleared if that revision was compacted before the last page was read.
    """
    first = gateway.ask(
        v3_requests.TXN, v3_requests.first_page(prefix, FIRST_PAGE_KEYS), TxnResponse
    )
    page, *others = (op.response_range for op in first.responses)
    found = [*(pair for each in others for pair in each.kvs), *page.kvs]
    while page.more:
        last, revision = page.kvs[-1].key, first.header.revision
        body = v3_requests.next_page(prefix, last, next_limit(page), revision)
        page = gateway.ask(v3_requests.RANGE, body, RangeResponse)
        if page.header.cluster_id != first.header.cluster_id:
            raise HistoryCleared(f"list {prefix}: another cluster answers")
        found += page.kvs
    return first.header, found


def next_limit(page: RangeResponse) -> int:
    """Return how many pairs like those of this page make about PAGE_BYTES."""
    size_bytes = sum(len(pair.key) + len(pair.value) for pair in page.kvs)
    return min(max(1, PAGE_BYTES * len(page.kvs) // max(1, size_bytes)), PAGE_KEYS_MAX)
