"""Aliases: further texts that routes match."""

from rig.vulcan_keys import PREFIX, changes, frontend
from vulcan.core.config.table import Table
from vulcan.core.routing.request_view import RequestView

ALIASES = (('Host("main")', 'Host("localhost")'), ("never", "nowhere"))


def answering(table: Table, host: bytes) -> str | None:
    made = table.find(RequestView(host, b"/"))
    return made.id if made else None


def test_a_route_with_an_alias_matches_the_requests_of_both():
    made = Table(PREFIX, aliases=ALIASES).advanced(
        changes(frontend("f", 'Host("main")'), frontend("g", 'Host("other")'))
    )
    assert [answering(made, host) for host in (b"main", b"localhost", b"other")] == ["f", "f", "g"]


def test_an_aliased_route_is_removed_with_its_frontend_and_survives_a_reset():
    made = Table(PREFIX, aliases=ALIASES).advanced(changes(frontend("f", 'Host("main")')))
    assert (
        answering(made.advanced(changes(removed=("frontends/f/frontend",))), b"localhost") is None
    )
    again = made.advanced(changes(frontend("h", 'Host("main")'), reset=True))
    assert answering(again, b"localhost") == "h"


def test_an_alias_that_makes_an_invalid_route_is_ignored():
    made = Table(PREFIX, aliases=(("main", '") && nonsense'),))
    assert answering(made.advanced(changes(frontend("f", 'Host("main")'))), b"main") == "f"
