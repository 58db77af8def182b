"""A prefix read page by page, all at one revision."""

from coordinator.client.core import v3_requests, v3_responses
from coordinator.client.core.errors import HistoryCleared
from coordinator.client.v3.gateway import Gate

# The first page shows how large values are; then each page is about so large.
FIRST_PAGE_KEYS = 500
PAGE_BYTES = 8 * 2**20
PAGE_KEYS_MAX = 50_000


def read(gate: Gate, prefix: str) -> tuple[v3_responses.Header, list[v3_responses.Pair]]:
    """Return the pairs at and below a prefix in the order of their keys, and their revision.

    HistoryCleared if that revision was compacted before the last page was read.
    """
    outcome = gate.ask(
        v3_requests.TXN, v3_requests.listed(prefix, FIRST_PAGE_KEYS), v3_responses.Outcome
    )
    page, *others = (step.response_range for step in outcome.responses)
    found = [*(pair for each in others for pair in each.kvs), *page.kvs]
    while page.more:
        last, revision = page.kvs[-1].key, outcome.header.revision
        body = v3_requests.listed_on(prefix, last, next_limit(page), revision)
        page = gate.ask(v3_requests.RANGE, body, v3_responses.Ranged)
        if page.header.cluster_id != outcome.header.cluster_id:
            raise HistoryCleared(f"list {prefix}: another cluster answers")
        found += page.kvs
    return outcome.header, found


def next_limit(page: v3_responses.Ranged) -> int:
    """Return how many pairs like those of this page are about PAGE_BYTES."""
    size_bytes = sum(len(pair.key) + len(pair.value) for pair in page.kvs)
    return min(max(1, PAGE_BYTES * len(page.kvs) // max(1, size_bytes)), PAGE_KEYS_MAX)
