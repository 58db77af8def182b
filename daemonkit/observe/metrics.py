"""The `/metrics` page: a daemon's samples and the metrics of its process."""

from collections.abc import Iterable

from daemonkit.core.samples import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return the text of `/metrics`: these samples and the process's own."""
    # Imported at the first scrape, so that a daemon starts faster.
    from daemonkit.observe.exposition import text_of

    return text_of(samples)
