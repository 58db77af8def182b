"""What the options of `locksmithd` say."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from locksmith.core.policy import Rules
from locksmith.host.blockers import Gates
from locksmith.host.reboot_required import Sources
from locksmith.store.store_quorum import Neighbours


@dataclass(frozen=True, slots=True)
class Care:
    """Before and after a reboot: where hooks stand, and how long each part may take.

    `deadline` is how long a grant is good for, hooks and all; then others may call the host lost.
    """

    hooks: Path
    hook_s: float
    healthy_s: float
    settle_s: float
    deadline: timedelta
    command: str = ""
    priority: int = 0
    reclaim_max: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """All options that are not the store's."""

    group: str
    status_addr: str
    state_dir: Path | None
    version: str
    rules: Rules
    sources: Sources
    gates: Gates
    care: Care
    neighbours: Neighbours
    webhooks: tuple[str, ...] = ()
