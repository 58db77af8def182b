"""What a key is, an absolute path of segments, and which keys a prefix holds."""

from urllib.parse import quote

from coordinator.client.core.errors import BadRequest
from coordinator.client.core.validation import checked_text

ROOT = "/"


def checked_key(key: str) -> str:
    """Return `key` if it can name a file; BadRequest names what is wrong with it."""
    if key == ROOT:
        raise BadRequest("/ is the root directory: name a key below it")
    return checked_prefix(key)


def checked_prefix(prefix: str) -> str:
    """Return `prefix` if it is `/` or `/segment/...`; BadRequest names what is wrong with it."""
    if not prefix.startswith(ROOT):
        raise BadRequest(f"key {prefix!r} is not absolute: begin it with /")
    if prefix == ROOT:
        return prefix
    for segment in prefix[1:].split("/"):
        if segment in ("", ".", ".."):
            # A server would clean the path, and so use another key than the one meant.
            raise BadRequest(f"key {prefix!r} has a segment {segment!r}: remove it")
    return checked_text(prefix, "key")


def url_path(key: str) -> str:
    """Return the key's path on a v2 server, each segment percent-encoded."""
    path = "" if key == ROOT else "/".join(quote(segment, safe="") for segment in key.split("/"))
    return f"/v2/keys{path}"


def holds(prefix: str, key: str) -> bool:
    """Return whether `key` is `prefix` or below it, by whole segments."""
    return prefix in (ROOT, key) or key.startswith(f"{prefix}/")


def is_hidden(prefix: str, key: str) -> bool:
    """Return whether a segment of `key` below `prefix` begins with `_`, as etcd hides keys."""
    return "/_" in (key if prefix == ROOT else key[len(prefix) :])


def parents(key: str) -> list[str]:
    """Return the directories above `key`, the nearest first, without the root."""
    found = []
    while (cut := key.rfind("/")) > 0:
        key = key[:cut]
        found.append(key)
    return found
