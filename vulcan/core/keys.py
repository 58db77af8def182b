"""vulcan's keys in the store. All of them begin with a prefix such as `/vulcand`.

    PREFIX/hosts/NAME/host              PREFIX/listeners/ID
    PREFIX/backends/ID/backend          PREFIX/backends/ID/servers/ID
    PREFIX/frontends/ID/frontend        PREFIX/frontends/ID/middlewares/ID
    PREFIX-status/NODE                  PREFIX-history/NUMBER
    PREFIX-salt

Status, history and salt are outside the tree that nodes watch, so that a write there wakes no node.
"""

from dataclasses import dataclass
from enum import Enum


class ObjectKind(Enum):
    """The kinds of objects. A value is the name of the collection, in keys and in the API."""

    HOST = "hosts"
    LISTENER = "listeners"
    BACKEND = "backends"
    SERVER = "servers"
    FRONTEND = "frontends"
    MIDDLEWARE = "middlewares"

    @property
    def title(self) -> str:
        """The name of one object in the API's JSON, such as `Backend`."""
        return self.name.capitalize()

    @property
    def parent(self) -> "ObjectKind | None":
        """The kind of the object that contains objects of this kind."""
        return _PARENTS.get(self)


_PARENTS = {
    ObjectKind.SERVER: ObjectKind.BACKEND,
    ObjectKind.MIDDLEWARE: ObjectKind.FRONTEND,
}
# The directory of such an object has a key of this name for the object itself.
_LEAVES = {
    ObjectKind.HOST: "host",
    ObjectKind.BACKEND: "backend",
    ObjectKind.FRONTEND: "frontend",
}


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """The identity of one object; `parent` is the id of the object that contains it."""

    kind: ObjectKind
    id: str
    parent: str = ""

    @property
    def directory(self) -> str:
        """Return the path, relative to the prefix, below which everything of the object is."""
        above = f"{self.kind.parent.value}/{self.parent}/" if self.kind.parent else ""
        return f"{above}{self.kind.value}/{self.id}"

    @property
    def path(self) -> str:
        """Return the path of the object's own key, relative to the prefix."""
        leaf = _LEAVES.get(self.kind)
        return f"{self.directory}/{leaf}" if leaf else self.directory

    @property
    def is_directory(self) -> bool:
        """Whether other keys may be below the object's path."""
        return self.kind in _LEAVES


def parse_path(path: str) -> ObjectKey | None:
    """Read the path of a key, relative to the prefix; None when it is no object's key."""
    match path.split("/"):
        case ["hosts", name, "host"]:
            return ObjectKey(ObjectKind.HOST, name)
        case ["listeners", id_]:
            return ObjectKey(ObjectKind.LISTENER, id_)
        case ["backends", id_, "backend"]:
            return ObjectKey(ObjectKind.BACKEND, id_)
        case ["backends", backend, "servers", id_]:
            return ObjectKey(ObjectKind.SERVER, id_, backend)
        case ["frontends", id_, "frontend"]:
            return ObjectKey(ObjectKind.FRONTEND, id_)
        case ["frontends", frontend, "middlewares", id_]:
            return ObjectKey(ObjectKind.MIDDLEWARE, id_, frontend)
        case _:
            return None


def status_directory(prefix: str) -> str:
    """Return the directory with one key for each running node."""
    return f"{prefix}-status"


def status_key(prefix: str, node: str) -> str:
    """Return the key in which a node writes its status."""
    return f"{prefix}-status/{node}"


def salt_key(prefix: str) -> str:
    """Return the key of the secret that salts the names of servers in cookies."""
    return f"{prefix}-salt"


def history_directory(prefix: str) -> str:
    """Return the directory of recorded revisions."""
    return f"{prefix}-history"


def history_key(prefix: str, number: int) -> str:
    """Return the key of one revision. Keys sort by number."""
    return f"{prefix}-history/{number:012d}"
