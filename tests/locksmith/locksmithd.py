"""A `locksmithd` process under test, and the keys in its store."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Store
from locksmith.core import keys
from rig.processes import Running, free_port, python


class Locksmithd(Running):
    """A running daemon and its status page."""

    def __init__(
        self, directory: Path, url: str, *arguments: str, wrapper: Sequence[str] = ()
    ) -> None:
        self.page = f"http://127.0.0.1:{free_port()}"
        command = python("locksmith", "daemon", "-endpoint", url)
        # Nothing of this machine may ask for a reboot, and none may happen.
        self.sentinel, self.rebooted = directory / "reboot-required", directory / "rebooted"
        self.hooks = directory / "hooks"
        safe = ["--sentinel", str(self.sentinel), "--probe", "none", "--users", "ignore"]
        safe += ["--hooks-dir", str(self.hooks), "--settle", "0s"]
        safe += ["--reboot-command", f"echo once >>{self.rebooted}"]
        safe += ["--status-addr", self.page.removeprefix("http://")]
        super().__init__([*wrapper, *command, *safe, *arguments], directory / "locksmithd.log")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.page}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def state(self) -> dict[str, Any]:
        self.wait_for(lambda: self.get("/health")[0] == 200, "the page is served")
        return json.loads(self.get("/debug/state")[1])

    def wait_ready(self) -> None:
        self.wait_for(lambda: self.get("/ready")[0] == 200, "locksmithd ready")


def put_semaphore(store: Store, holders: list[str], group: str = "", slots: int = 2) -> None:
    document = {"semaphore": slots - len(holders), "max": slots, "holders": holders}
    store.put(keys.semaphore(group), json.dumps(document, separators=(",", ":")))


def holders(store: Store, group: str = "") -> list[str]:
    return json.loads(store.get(keys.semaphore(group)).value)["holders"] or []


def has(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except KeyNotFound:
        return False
    return True
