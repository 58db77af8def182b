"""The options of confd as values, and its exit codes."""

from dataclasses import dataclass
from pathlib import Path

from confd.core.keyspace.key_sources import STORE
from daemonkit.options import IdentityFiles

# A resource failed, or a test case did.
EXIT_FAILED = 1
# The store could not be read.
EXIT_NO_STORE = 3
# `confd noop` found that something would change.
EXIT_CHANGES = 4


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How resources are processed: the steps to skip, and the time limits."""

    noop: bool = False
    sync_only: bool = False
    keep_staged: bool = False
    check_timeout_s: float = 30.0
    reload_timeout_s: float = 60.0
    render_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the configuration is, and how its resources are processed.

    `interval_s` 0 turns off periodic passes. Without `watch`, only a pass renders. `wait` is the
    shortest and the longest wait of resources that set none. A later source of keys overrides
    an earlier one.
    """

    confdir: Path
    options: ApplyOptions
    prefix: str = ""
    state_dir: Path | None = None
    watch: bool = False
    interval_s: float = 600.0
    status_addr: str = ""
    status_tls: IdentityFiles | None = None
    drain_s: float = 30.0
    wait: tuple[float, float] = (0.0, 0.0)
    sources: tuple[str, ...] = (STORE,)
