"""`vctl`: vulcand's verbs and tables, and ours beside them."""

from vulcan.ctl.program import main

__all__ = ["main"]
