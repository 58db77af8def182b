"""The salt of the names that sticky cookies give to servers.

A name is the same on every node, in every worker and after a restart, so the salt is in the store:
the first node that has a sticky backend writes it. Each node keeps a copy in its state directory.
Until a node knows the salt, names are plain hashes, from which a client could guess addresses.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

from coordinator.client import Absent, KeyExists, KeyNotFound, Store, StoreError
from daemonkit.host import atomic_file
from daemonkit.observe import logs
from vulcan.core.config.table import Table
from vulcan.core.keys import salt_key

SALT_BYTES = 32
RETRY_S = 5.0
REMEDY = "write it with an operator's identity: coordctl set {key} $(openssl rand -base64 32)"

_log = logs.get("vulcand")


class CookieSalt:
    """Agrees with the other nodes on the salt once a backend is sticky; calls `changed`."""

    def __init__(
        self, store: Store, prefix: str, copy: Path | None, changed: Callable[[bytes], None]
    ) -> None:
        self._store = store
        self._key = salt_key(prefix)
        self._copy = copy
        self._changed = changed
        self._needed = asyncio.Event()
        self._agreed = asyncio.Event()
        self.salt = _read(copy) if copy else b""

    def follow(self, table: Table) -> None:
        """Agree on the salt if a backend needs one."""
        if not self._needed.is_set() and any(each.sticky for each in table.backends.values()):
            self._needed.set()

    async def run(self) -> None:
        """Read the salt when it is needed, or write it if there is none."""
        await self._needed.wait()
        while True:
            if await asyncio.to_thread(self._agree):
                break
            await asyncio.sleep(RETRY_S)
        self._agreed.set()
        self._changed(self.salt)

    async def known(self, patience_s: float) -> None:
        """Wait until the salt is known, if it is needed; not longer than this."""
        if self._needed.is_set() and not self.salt:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._agreed.wait(), patience_s)

    def _agree(self) -> bool:
        """Take the salt of the store; return whether that has worked."""
        try:
            salt = self._stored()
        except StoreError as error:
            remedy = REMEDY.format(key=self._key)
            _log.warning("salt-unknown", key=self._key, reason=str(error), remedy=remedy)
            return False
        if salt != self.salt and self._copy is not None:
            _keep(self._copy, salt)
        self.salt = salt
        return True

    def _stored(self) -> bytes:
        with contextlib.suppress(KeyNotFound):
            return self._store.get(self._key).value.encode()
        made = self.salt.decode() or secrets.token_urlsafe(SALT_BYTES)
        try:
            self._store.put(self._key, made, when=Absent())
        except KeyExists:  # another node was first
            return self._store.get(self._key).value.encode()
        return made.encode()


def _read(copy: Path) -> bytes:
    try:
        return copy.read_bytes().decode("ascii").encode()
    except FileNotFoundError:
        return b""
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("salt-not-read", file=str(copy), error=str(error))
        return b""


def _keep(copy: Path, salt: bytes) -> None:
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(copy, salt)
    except OSError as error:  # the store has it
        _log.warning("salt-not-kept", file=str(copy), error=str(error))
