"""The numbers of the commands that this host has run, so that none runs twice.

Whoever can write to the store can write a request once more. A signed request is refused after a
while for its age; until then its number is kept, on the disk, before the command starts.
"""

from pathlib import Path

import msgspec

from daemonkit.host import atomic_file
from daemonkit.observe import logs
from fleet.core.model import InvalidRecord, decode
from fleet.core.signed_request import RequestRefused

NAME = "requests.json"
# Signed commands within two minutes.
REQUESTS_MAX = 4096
_log = logs.get("agent")


class DoneRequests:
    """The numbers, and the Unix times until which a request with them is not too old."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME
        self._until: dict[str, float] = {}
        try:
            self._until = decode(self._path.read_bytes(), dict[str, float])
        except FileNotFoundError:
            pass
        except (OSError, InvalidRecord) as error:
            _log.warning("state-invalid", path=str(self._path), error=str(error))

    def take(self, number: str, until: float, now: float) -> None:
        """Keep the number of a command that is about to run. Blocks. Raises RequestRefused."""
        known = {each: end for each, end in self._until.items() if end >= now}
        if number in known:
            raise RequestRefused("this command has run already: somebody has sent it once more")
        if len(known) >= REQUESTS_MAX:
            raise RequestRefused(
                f"this host has run {REQUESTS_MAX} commands within two minutes: try again later"
            )
        known[number] = until
        try:
            atomic_file.write(self._path, msgspec.json.encode(known))
        except OSError as error:
            raise RequestRefused(
                f"this host cannot keep the number of the command: {self._path}: {error.strerror}"
            ) from None
        self._until = known
