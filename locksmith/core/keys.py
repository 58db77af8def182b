"""The paths of locksmith's keys, and how names become path segments.

The semaphore's path and its escaping are those of Go's locksmith. Everything under `ext/v1/` is
ours and advisory. Nothing of ours may be in the semaphore's document, because a Go peer that
writes it drops all fields that it does not know.
"""

from urllib.parse import quote_plus, unquote_plus

PREFIX = "/coreos.com/updateengine/rebootlock"
HOSTS = f"{PREFIX}/ext/v1/hosts"
HOLDERS = f"{PREFIX}/ext/v1/holders"
QUEUE = f"{PREFIX}/ext/v1/queue"
PAUSES = f"{PREFIX}/ext/v1/pauses"
FAILURES = f"{PREFIX}/ext/v1/failures"
HISTORY = f"{PREFIX}/ext/v1/history"
REBOOTS = f"{PREFIX}/ext/v1/reboots"
ALIASES = f"{PREFIX}/ext/v1/aliases"
# Names the one host with a member of the store that may reboot now, whatever its group.
STORE_MEMBER = f"{PREFIX}/ext/v1/store-member"
PAUSED_FLEET = f"{PAUSES}/fleet"
# Below it, the authority of a fleet writes the name of each host under its machine-id.
FLEET_HOSTS = "/slashetc/v1/admitted"

# The segment of the default group below `ext/v1/`. Escaping writes `@` as `%40`, so no group's
# segment can be the same. A leading `_` would hide the keys from listings in etcd.
DEFAULT_SEGMENT = "@default"

# A name is escaped twice on its way into a URL (up to five characters per byte), and servers limit
# the request line to some kilobytes.
NAME_BYTES_MAX = 255


class InvalidName(ValueError):  # noqa: N818 - the message is read by an operator
    """A group or holder cannot be part of a key; the message names it and the remedy."""


def checked_group(name: str) -> str:
    """Return the name of a group if it can be a path segment. Raises InvalidName."""
    if name in {"", ".", ".."}:
        raise InvalidName(f"group {name!r} cannot be a path segment: choose another name")
    return _checked("group", name)


def checked_holder(holder: str) -> str:
    """Return the id of a holder if it can be shown and be in a key. Raises InvalidName."""
    if not holder or not holder.isprintable():
        raise InvalidName(
            f"holder id {holder!r} is empty or not printable: give a machine-id or a name"
        )
    return _checked("holder id", holder)


def checked_text(what: str, text: str) -> str:
    """Return text if it is valid UTF-8; a process's arguments may not be. Raises InvalidName."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidName(f"{what} {text!r} is not valid UTF-8") from None
    return text


def semaphore(group: str) -> str:
    """The slots of a group and their holders; "" is the default group."""
    return f"{PREFIX}/groups/{escaped(group)}/semaphore" if group else f"{PREFIX}/semaphore"


def holder(group: str, holder_id: str) -> str:
    """The record of one holder of a slot."""
    return f"{HOLDERS}/{segment(group)}/{escaped(holder_id)}"


def ticket(group: str, machine_id: str) -> str:
    """A host's position in its group's queue."""
    return f"{QUEUE}/{segment(group)}/{escaped(machine_id)}"


def failure(group: str, machine_id: str) -> str:
    """A host that failed its reboot and counts against the group's failure budget."""
    return f"{FAILURES}/{segment(group)}/{escaped(machine_id)}"


def paused_group(group: str) -> str:
    """Pauses the reboots of a group."""
    return f"{PAUSES}/groups/{segment(group)}"


def paused_host(machine_id: str) -> str:
    """Pauses the reboots of a host."""
    return f"{PAUSES}/hosts/{escaped(machine_id)}"


def reboots(machine_id: str) -> str:
    """The reboots in a row of a host, for the brake on reboot loops."""
    return f"{REBOOTS}/{escaped(machine_id)}"


def alias(other_id: str) -> str:
    """The machine-id of the host that zincati knows by another id."""
    return f"{ALIASES}/{escaped(other_id)}"


def concerns(key: str, group: str, machine_id: str) -> bool:
    """Whether a key is part of what a host of a group must know; the history is not."""
    if key in {semaphore(group), STORE_MEMBER, reboots(machine_id)}:
        return True
    own = (f"{below}/{segment(group)}/" for below in (HOLDERS, QUEUE, FAILURES))
    return key.startswith((f"{HOSTS}/", f"{PAUSES}/", *own))


def segment(group: str) -> str:
    """Return the path segment of a group below `ext/v1/`."""
    return escaped(group) if group else DEFAULT_SEGMENT


def host(machine_id: str) -> str:
    """A host's heartbeat."""
    return f"{HOSTS}/{escaped(machine_id)}"


def escaped(name: str) -> str:
    """Return a name as one path segment, as Go's url.QueryEscape writes it."""
    return quote_plus(name, safe="~")


def last_name(key: str) -> str:
    """Return the name that the last segment of a key was made from."""
    return unquote_plus(key.rpartition("/")[2])


def _checked(what: str, name: str) -> str:
    size_bytes = len(checked_text(what, name).encode())
    if size_bytes > NAME_BYTES_MAX:
        raise InvalidName(
            f"{what} {name[:20]!r}... has {size_bytes} bytes: use at most {NAME_BYTES_MAX}"
        )
    return name
