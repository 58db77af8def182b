"""A confdir with one resource, worked again and again."""

from pathlib import Path

from confd.cycle import Manner, Outcome
from confd.keys import KeySet
from confd.state import State
from tests.confd.test_keys import key_set
from tests.confd.world import Confdir

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
