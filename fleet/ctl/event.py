"""fleetctl events: the scheduler's decisions and their reasons."""

import time

import typer

from fleet.ctl.arguments import Entries, Follow
from fleet.ctl.invocation import invocation

FOLLOW_S = 1.0


def events(context: typer.Context, *, follow: Follow = False, lines: Entries = 50) -> None:
    """Show the scheduler's decisions and their reasons."""
    from fleet.core import keys
    from fleet.core.ctl import render
    from fleet.core.model import EventRecord, InvalidRecord, decode

    ctl = invocation(context)
    shown = 0
    while True:
        found = ctl.registry.store.list(keys.EVENTS).entries
        fresh = sorted((each for each in found if each.modified > shown), key=lambda e: e.modified)
        for each in fresh if shown else fresh[-lines:]:
            if ctl.as_json:
                ctl.say(f"{each.value}\n")
            else:
                try:
                    ctl.say(render.event(decode(each.value, EventRecord)))
                except InvalidRecord as error:
                    ctl.progress(f"ignored: {each.key}: {error}")
        shown = max((each.modified for each in found), default=shown)
        if not follow:
            return
        time.sleep(FOLLOW_S)
