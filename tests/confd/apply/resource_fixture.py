"""A confdir with one resource, worked again and again."""

from pathlib import Path

from confd.apply.state_dir import State
from confd.apply.transaction import Manner, Outcome
from confd.core.keyspace.key_set import KeySet
from tests.confd.confdir_fixture import Confdir
from tests.confd.core.keyspace.test_key_set import key_set

KEYS = {"/app/v": "1"}
TEMPLATE = "v={{ getv('/app/v') }}\n"


class World:
    """A confdir with one resource, worked again and again with one state."""

    def __init__(self, directory: Path) -> None:
        self.confdir = Confdir(directory)
        self.directory = directory
        self.log = directory / "log"
        self.state = State(directory / "state")

    def add(self, *lines: str, template: str = TEMPLATE) -> Path:
        return self.confdir.add("a.conf", template, *lines)

    def work(self, keys: dict[str, str] | KeySet = KEYS, manner: Manner | None = None) -> Outcome:
        known = keys if isinstance(keys, KeySet) else key_set(keys)
        [resource] = self.confdir.resources()
        self.result = self.confdir.cycle(self.state, manner).work([resource], known)[resource.name]
        return self.result.outcome

    def restart(self) -> None:
        self.state.close()
        self.state = State(self.directory / "state")

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""
