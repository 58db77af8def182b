"""A slow model of the key space: every question walks all keys."""

from dataclasses import dataclass

from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync

YEAR_2000_NS = 946_684_800 * 1_000_000_000


class Refused(Exception):  # noqa: N818 - it says what the write is
    """A write that changes nothing."""

    def __init__(self, code: int, cause: str = "") -> None:
        super().__init__(code, cause)
        self.code, self.cause = code, cause


@dataclass(frozen=True)
class Fact:
    """The content of a key; a directory has no value."""

    value: bytes | None
    created: int
    modified: int
    expires_ns: int = 0


@dataclass(frozen=True)
class Change:
    """What an accepted write did."""

    action: str
    key: bytes
    index: int
    created: int
    now: Fact | None
    before: Fact | None
    removed: frozenset[bytes] | None = None
    refresh: bool = False


class Model:
    """Keys as a mapping of paths, and every change so far."""

    def __init__(self) -> None:
        self.facts: dict[bytes, Fact] = {}
        self.index = 0
        self.changes: list[Change] = []

    def apply(self, command: Command) -> Change | None:
        match command:
            case Put():
                return self._put(command)
            case CreateInOrder(key, value, directory, expires_ns):
                name = f"{self.index + 1:020}".encode()
                parent = b"" if key == b"/" else key
                return self._create(Put(parent + b"/" + name, value, directory, expires_ns))
            case Delete():
                return self._delete(command)
            case Sync(now_ns):
                self._sync(now_ns)
            case Note():
                self.index += 1
        return None

    def _put(self, put: Put) -> Change:
        if put.prev_exist is False:
            return self._create(put)
        if put.prev_value or put.prev_index:
            return self._rewrite("compareAndSwap", put)
        if put.prev_exist:
            return self._rewrite("update", put)
        return self._set(put)

    def _set(self, put: Put) -> Change:
        before = None
        try:
            before = self._find(put.key)
        except Refused as refused:
            if refused.code != 100 or put.refresh:
                raise
        if put.key == b"/":
            raise Refused(107, "/")
        if before is not None and before.value is None:
            raise Refused(102, put.key.decode())
        value = (before.value if put.refresh and before else put.value) or b""
        return self._write("set", put, None if put.directory else value, before)

    def _create(self, put: Put) -> Change:
        if put.key == b"/":
            raise Refused(107, "/")
        for above in above_of(put.key):
            if above in self.facts and self.facts[above].value is not None:
                raise Refused(104, above.decode())
        if put.key in self.facts:
            raise Refused(105, put.key.decode())
        value = None if put.directory else put.value or b""
        return self._write("create", replace_refresh(put), value, None)

    def _rewrite(self, action: str, put: Put) -> Change:
        if put.key == b"/":
            raise Refused(107, "/")
        before = self._find(put.key)
        if action == "compareAndSwap":
            self._compare(put, before)
        if before.value is None:
            if put.value:
                raise Refused(102, put.key.decode())
            return self._write(action, put, None, before, created=before.created)
        value = before.value if put.refresh else put.value or b""
        return self._write(action, put, value, before, created=before.created)

    def _write(
        self, action: str, put: Put, value: bytes | None, before: Fact | None, created: int = 0
    ) -> Change:
        self.index += 1
        index = self.index
        for above in above_of(put.key):
            self.facts.setdefault(above, Fact(None, index, index))
        expires_ns = put.expires_ns if put.expires_ns >= YEAR_2000_NS else 0
        now = self.facts[put.key] = Fact(value, created or index, index, expires_ns)
        return self._tell(
            Change(action, put.key, index, now.created, now, before, None, put.refresh)
        )

    def _delete(self, delete: Delete) -> Change:
        compare = bool(delete.prev_value or delete.prev_index)
        if delete.key == b"/":
            raise Refused(102) if compare else Refused(107, "/")
        before = self._find(delete.key)
        if compare:
            self._compare(delete, before)
        elif before.value is None and not delete.recursive:
            if not delete.directory:
                raise Refused(102, delete.key.decode())
            if self._below(delete.key):
                raise Refused(108, delete.key.decode())
        return self._remove("compareAndDelete" if compare else "delete", delete.key)

    def _sync(self, now_ns: int) -> None:
        while due := [
            (fact.expires_ns, key)
            for key, fact in self.facts.items()
            if 0 < fact.expires_ns <= now_ns
        ]:
            self._remove("expire", min(due)[1])

    def _remove(self, action: str, key: bytes) -> Change:
        self.index += 1
        below = self._below(key)
        before = self.facts.pop(key)
        for gone in below:
            del self.facts[gone]
        removed = None if before.value is not None else frozenset(below)
        return self._tell(Change(action, key, self.index, before.created, None, before, removed))

    def _tell(self, change: Change) -> Change:
        self.changes.append(change)
        return change

    def _below(self, key: bytes) -> list[bytes]:
        return [other for other in self.facts if key in above_of(other)]

    def _find(self, key: bytes) -> Fact:
        if key == b"/":
            return Fact(None, 0, 0)
        for path in [*above_of(key), key]:
            fact = self.facts.get(path)
            if fact is None:
                raise Refused(100, path.decode())
            if fact.value is not None and path != key:
                raise Refused(104, path.decode())
        return self.facts[key]

    def _compare(self, command: Put | Delete, fact: Fact) -> None:
        if fact.value is None:
            raise Refused(102, command.key.decode())
        wrong = []
        if command.prev_value and command.prev_value != fact.value:
            wrong.append(b"[%b != %b]" % (command.prev_value, fact.value))
        if command.prev_index and command.prev_index != fact.modified:
            wrong.append(b"[%d != %d]" % (command.prev_index, fact.modified))
        if wrong:
            raise Refused(101, b" ".join(wrong).decode(errors="replace"))


def above_of(key: bytes) -> list[bytes]:
    """Return the directories above a key, without the root."""
    names = key.split(b"/")[1:]
    return [b"/" + b"/".join(names[:end]) for end in range(1, len(names))]


def replace_refresh(put: Put) -> Put:
    """Return the command without its refresh: what is created has nothing to refresh."""
    return Put(put.key, put.value, put.directory, put.expires_ns)
