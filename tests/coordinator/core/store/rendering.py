"""What a key space shows, as JSON."""

from coordinator.core.store.encoding import Moment
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.listing import DirectoryListing, ListingScope

ONE_LEVEL = ListingScope(recursive=False, hidden=False, at=Moment(0))


def json_of(space: KeySpace, key: bytes, scope: ListingScope = ONE_LEVEL) -> bytes:
    """Return the JSON of a file, or of a directory with what the scope shows of it."""
    node = space.read(key)
    if node.value is not None:
        return node.json(scope.at)
    listing = DirectoryListing(node, scope)
    listing.take(space.tree)
    return b"".join(listing.pieces())
