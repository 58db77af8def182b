"""Namespaces of a run's own: the kernel ends its network, disks and processes with it."""

import os
import sys
from pathlib import Path

from rig.processes import require

ISOLATED = "CHAOS_ISOLATED"
# In memory, and of this run alone.
DIRECTORY = Path("/run/chaos")


def isolate(module: str) -> None:
    """Run a module again as process 1 of new namespaces, with a private /run; once is enough."""
    if ISOLATED not in os.environ:
        unshare = [require("unshare"), "--net", "--mount", "--pid", "--mount-proc"]
        unshare += ["--fork", "--kill-child"]
        script = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && exec "$@"'
        os.environ[ISOLATED] = "1"
        again = [sys.executable, "-m", module, *sys.argv[1:]]
        os.execv(unshare[0], [*unshare, "sh", "-c", script, "sh", *again])
    DIRECTORY.mkdir()
