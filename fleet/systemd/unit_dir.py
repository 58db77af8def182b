"""The directory of units that systemd reads and that is empty after a boot."""

import os
from collections.abc import Mapping
from pathlib import Path

from fleet.core.instances.instance_unit import order_in
from fleet.core.model import Order

RUNTIME = Path("/run/systemd/system")


class UnitDirectory:
    """Our files among others. A file is whole or not there."""

    def __init__(self, path: Path = RUNTIME) -> None:
        self._path = path
        self._known: dict[str, tuple[int, Order | None]] = {}

    def orders(self) -> dict[str, Order]:
        """Return what our files were written for, by unit."""
        found: dict[str, Order] = {}
        present = set()
        for entry in os.scandir(self._path) if self._path.is_dir() else ():
            if not entry.is_file(follow_symlinks=False):
                continue
            present.add(entry.name)
            stamp = entry.stat(follow_symlinks=False).st_mtime_ns
            if self._known.get(entry.name, (0, None))[0] != stamp:
                text = Path(entry.path).read_text(errors="replace")
                self._known[entry.name] = stamp, order_in(text)
            if (order := self._known[entry.name][1]) is not None:
                found[entry.name] = order
        for name in self._known.keys() - present:
            del self._known[name]
        return found

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files, and remove those that are None."""
        self._path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            place = self._path / name
            if text is None:
                place.unlink(missing_ok=True)
                continue
            draft = self._path / f".{name}.draft"
            draft.write_text(text)
            draft.replace(place)


def foreign(fragment: str, *, is_ours: bool) -> str:
    """Return the path of a unit's file if it is not one that we wrote."""
    if not fragment or (is_ours and Path(fragment).parent == RUNTIME):
        return ""
    return fragment
