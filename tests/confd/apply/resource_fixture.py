"""A configuration directory with one resource that is applied repeatedly."""

from pathlib import Path

from confd.apply.state_dir import StateDir
from confd.core.changes.outcome import Outcome
from confd.core.keyspace.key_set import KeySet
from confd.settings import ApplyOptions
from tests.confd.confdir_fixture import Confdir, apply
from tests.confd.core.keyspace.key_sets import key_set

KEYS = {"/app/v": "1"}
TEMPLATE = "v={{ getv('/app/v') }}\n"


class OneResource:
    """A configuration directory with one resource, applied repeatedly with one state."""

    def __init__(self, directory: Path) -> None:
        self.confdir = Confdir(directory)
        self.directory = directory
        self.log = directory / "log"
        self.state = StateDir(directory / "state")

    def add(self, *lines: str, template: str = TEMPLATE) -> Path:
        return self.confdir.add("a.conf", template, *lines)

    def work(
        self, keys: dict[str, str] | KeySet = KEYS, options: ApplyOptions | None = None
    ) -> Outcome:
        known = keys if isinstance(keys, KeySet) else key_set(keys)
        [resource] = self.confdir.resources()
        self.result = apply(self.confdir.engine(self.state, options), [resource], known)[
            resource.name
        ]
        return self.result.outcome

    def restart(self) -> None:
        self.state.close()
        self.state = StateDir(self.directory / "state")

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""
