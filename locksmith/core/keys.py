"""Where locksmith's keys stand, and how names become path segments.

The semaphore's path and its escaping are those of Go's locksmith. Everything under `ext/v1/`
is ours and advisory: a Go peer drops fields that it does not know when it writes the
semaphore, so nothing of ours may live in that document.
"""

from urllib.parse import quote_plus, unquote_plus

PREFIX = "/coreos.com/updateengine/rebootlock"
HOSTS = f"{PREFIX}/ext/v1/hosts"
HOLDERS = f"{PREFIX}/ext/v1/holders"
QUEUE = f"{PREFIX}/ext/v1/queue"
PAUSES = f"{PREFIX}/ext/v1/pauses"
FAILURES = f"{PREFIX}/ext/v1/failures"
HISTORY = f"{PREFIX}/ext/v1/history"
ALIASES = f"{PREFIX}/ext/v1/aliases"
# Held by the one host that runs the store and is about to reboot, whatever its group.
STORE_MEMBER = f"{PREFIX}/ext/v1/store-member"
PAUSED_FLEET = f"{PAUSES}/fleet"

# Stands for the group without a name below `ext/v1/`. Escaping writes `@` as `%40`, so no
# group's segment can meet it; a leading `_` would hide the keys from listings in etcd.
DEFAULT_SEGMENT = "@default"

# A name is escaped twice on its way into a URL (up to five characters a byte), and servers
# bound the request line at some kilobytes.
NAME_BYTES_MAX = 255


class NameRefused(ValueError):  # noqa: N818 - the message is read by an operator
    """A group or holder cannot be a key; the message names it and the remedy."""


def checked_group(name: str) -> str:
    """Return a group's name that can stand in a path."""
    if name in {"", ".", ".."}:
        raise NameRefused(f"group {name!r} would leave its place in the key space: choose a name")
    return _checked("group", name)


def checked_holder(holder: str) -> str:
    """Return a holder's id that a table can show and a key can carry."""
    if not holder or not holder.isprintable():
        raise NameRefused(
            f"holder id {holder!r} is empty or not printable: give a machine-id or a name"
        )
    return _checked("holder id", holder)


def checked_text(what: str, text: str) -> str:
    """Return text that can be written as UTF-8; arguments of a process need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NameRefused(f"{what} {text!r} is not UTF-8: write it in UTF-8") from None
    return text


def semaphore(group: str) -> str:
    """The slots of a group, and who holds them; "" is the default group."""
    return f"{PREFIX}/groups/{escaped(group)}/semaphore" if group else f"{PREFIX}/semaphore"


def holder(group: str, holder_id: str) -> str:
    """How one holder came by its slot."""
    return f"{HOLDERS}/{segment(group)}/{escaped(holder_id)}"


def ticket(group: str, machine_id: str) -> str:
    """A host's place in a queue."""
    return f"{QUEUE}/{segment(group)}/{escaped(machine_id)}"


def failure(group: str, machine_id: str) -> str:
    """A host that failed, and stops its group."""
    return f"{FAILURES}/{segment(group)}/{escaped(machine_id)}"


def paused_group(group: str) -> str:
    """Stops a group."""
    return f"{PAUSES}/groups/{segment(group)}"


def paused_host(machine_id: str) -> str:
    """Stops a host."""
    return f"{PAUSES}/hosts/{escaped(machine_id)}"


def alias(other_id: str) -> str:
    """The machine-id behind another id of the same host."""
    return f"{ALIASES}/{escaped(other_id)}"


def segment(group: str) -> str:
    """Return what stands for a group below `ext/v1/`."""
    return escaped(group) if group else DEFAULT_SEGMENT


def host(machine_id: str) -> str:
    """A host's heartbeat."""
    return f"{HOSTS}/{escaped(machine_id)}"


def escaped(name: str) -> str:
    """Return a name as one path segment, as Go's url.QueryEscape writes it."""
    return quote_plus(name, safe="~")


def last_name(key: str) -> str:
    """Return the name that a key's last segment was made from."""
    return unquote_plus(key.rpartition("/")[2])


def _checked(what: str, name: str) -> str:
    size_bytes = len(checked_text(what, name).encode())
    if size_bytes > NAME_BYTES_MAX:
        raise NameRefused(
            f"{what} {name[:20]!r}... has {size_bytes} bytes: use at most {NAME_BYTES_MAX}"
        )
    return name
