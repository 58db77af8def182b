"""What confd was told on its command line."""

from dataclasses import dataclass
from pathlib import Path

from confd.apply.transaction import Manner

# The source that is the store; the others are read from this host.
STORE = "store"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the configuration is, and how it is carried out.

    `interval_s` 0 is no periodic pass. Without `watch`, only passes render. `wait` is the least
    and the greatest wait of resources that have none of their own. Of the sources of keys a
    later one wins.
    """

    confdir: Path
    manner: Manner
    prefix: str = ""
    state_dir: Path | None = None
    watch: bool = False
    interval_s: float = 600.0
    status_addr: str = ""
    drain_s: float = 30.0
    wait: tuple[float, float] = (0.0, 0.0)
    sources: tuple[str, ...] = (STORE,)
