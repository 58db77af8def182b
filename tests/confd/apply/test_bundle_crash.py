"""A bundle killed before each step: every file is whole, and the next run brings all of them."""

import os
from pathlib import Path

from confd.apply import files
from confd.apply.state_dir import StateDir
from tests.confd.apply.crash_injection import ROUNDS_MAX, forked
from tests.confd.confdir_fixture import Confdir, apply, staged
from tests.confd.core.keyspace.key_sets import key_set

# A bundle has more steps than one file; each fifth is killed.
STRIDE = 5
NAMES = ("one", "two")
KEYS = {"/app/one": "new", "/app/two": "new"}


def work(conf: Confdir, place: Path) -> bool:
    state = StateDir(place / "state")
    resources = conf.resources()
    files.sweep(Path(resource.dest) for resource in resources)
    results = apply(conf.engine(state), resources, key_set(KEYS))
    state.close()
    return not any(result.outcome.failed for result in results.values())


def test_a_killed_bundle_is_finished_by_the_next_run(tmp_path: Path) -> None:
    for step in range(0, ROUNDS_MAX, STRIDE):
        place = tmp_path / str(step)
        conf, log = Confdir(place), place / "log"
        shared = ('bundle = "b"', f'reload_cmd = "echo x >> {log}"', "backups = 1")
        dests = [conf.add(name, f"{{{{ getv('/app/{name}') }}}}", *shared) for name in NAMES]
        for dest in dests:
            dest.write_text("old")
        status = forked(lambda: work(conf, place), before=step)  # noqa: B023
        assert {dest.read_text() for dest in dests} <= {"old", "new"}
        again = forked(lambda: work(conf, place), before=None)  # noqa: B023
        assert os.waitstatus_to_exitcode(again) == 0
        assert [dest.read_text() for dest in dests] == ["new", "new"]
        assert staged(conf.out) == []
        assert log.read_text()
        assert not list((place / "state" / "owed").iterdir())
        if not os.WIFSIGNALED(status):
            return
    raise AssertionError(f"a run has more than {ROUNDS_MAX} steps")
