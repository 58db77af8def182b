"""The directory of unit files that systemd reads, and that is empty after a boot."""

import os
from collections.abc import Mapping
from pathlib import Path

from daemonkit.host import atomic_file
from fleet.core.instances.instance_unit import allocation_in
from fleet.core.model import Allocation

RUNTIME = Path("/run/systemd/system")


class UnitDirectory:
    """The unit files that fleet wrote, among others. A file is complete or absent."""

    def __init__(self, path: Path = RUNTIME) -> None:
        self._path = path
        self._known: dict[str, tuple[int, Allocation | None]] = {}

    def allocations(self) -> dict[str, Allocation]:
        """Return the allocations that unit files were written for, by unit."""
        found: dict[str, Allocation] = {}
        present = set()
        for entry in os.scandir(self._path) if self._path.is_dir() else ():
            if not entry.is_file(follow_symlinks=False):
                continue
            present.add(entry.name)
            stamp = entry.stat(follow_symlinks=False).st_mtime_ns
            if self._known.get(entry.name, (0, None))[0] != stamp:
                text = Path(entry.path).read_text(errors="replace")
                self._known[entry.name] = stamp, allocation_in(text)
            allocation = self._known[entry.name][1]
            if allocation is not None and allocation.name == entry.name:
                found[entry.name] = allocation
        for name in self._known.keys() - present:
            del self._known[name]
        return found

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write unit files, and remove those that are None."""
        self._path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            place = self._path / name
            if text is None:
                place.unlink(missing_ok=True)
                continue
            # The directory is empty after a boot, so nothing here has to survive one.
            atomic_file.write(place, text.encode(), mode=0o644, durable=False)


def foreign_path(fragment: str, *, is_ours: bool) -> str:
    """Return the path of a unit's file, "" if fleet wrote it."""
    if not fragment or (is_ours and Path(fragment).parent == RUNTIME):
        return ""
    return fragment
