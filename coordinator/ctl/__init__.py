"""`coordctl`: etcdctl's v2 commands, and a look into what the coordinator keeps on disk."""

from coordinator.ctl.cli import main

__all__ = ["main"]
