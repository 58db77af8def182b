"""The keys that only the auth API shows and changes.

They are in the tree, and so in the log, in snapshots and in backups. No listing, no watch and no
history shows them: a change of one takes an index without an event.
"""

SECURITY = b"/_security"
_BELOW = SECURITY + b"/"


def is_reserved(key: bytes) -> bool:
    """Whether a key is one of them."""
    return key.startswith(SECURITY) and (key == SECURITY or key.startswith(_BELOW))
