"""What confd was told on its command line."""

from dataclasses import dataclass
from pathlib import Path

from confd.cycle import Manner


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the configuration is, and how it is carried out.

    `interval_s` 0 is no periodic pass. Without `watch`, only passes render.
    """

    confdir: Path
    manner: Manner
    prefix: str = ""
    state_dir: Path | None = None
    watch: bool = False
    interval_s: float = 600.0
    status_addr: str = ""
    drain_s: float = 30.0
