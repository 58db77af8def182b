"""Aliases of texts in routes, and what an operator is told of values that are taken."""

import pytest

from rig.vulcan_keys import PREFIX, changes, frontend
from tests.vulcan.test_cli import run
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode, unknown_fields
from vulcan.core.config.table import Table
from vulcan.core.routing.request_view import RequestView

ALIASES = (('Host("main")', 'Host("localhost")'), ("never", "nowhere"))


def answering(table: Table, host: bytes) -> str | None:
    made = table.find(RequestView(host, b"/"))
    return made.id if made else None


def test_a_route_with_an_alias_takes_the_requests_of_both():
    made = Table(PREFIX, aliases=ALIASES).advanced(
        changes(frontend("f", 'Host("main")'), frontend("g", 'Host("other")'))
    )
    assert [answering(made, host) for host in (b"main", b"localhost", b"other")] == ["f", "f", "g"]


def test_an_alias_goes_with_its_frontend_and_stays_over_a_reset():
    made = Table(PREFIX, aliases=ALIASES).advanced(changes(frontend("f", 'Host("main")')))
    assert (
        answering(made.advanced(changes(removed=("frontends/f/frontend",))), b"localhost") is None
    )
    again = made.advanced(changes(frontend("h", 'Host("main")'), reset=True))
    assert answering(again, b"localhost") == "h"


def test_an_alias_that_makes_no_route_leaves_the_route_as_it_is():
    made = Table(PREFIX, aliases=(("main", '") && nonsense'),))
    assert answering(made.advanced(changes(frontend("f", 'Host("main")'))), b"main") == "f"


def test_an_alias_without_its_other_text_is_wrong_use():
    done = run("--aliases", 'Host("a")')
    assert done.returncode == 2
    assert "is not TEXT=OTHER" in done.stderr


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("backends/b/servers/s", '{"url": "http://h:1", "Zone": "a"}', ["Zone"]),
        ("backends/b/backend", '{"Settings": {"Timeout": {}}}', ["Settings.Timeout"]),
        ("backends/b/backend", '{"settings": {"tls": {"mtls": 1}}}', ["Settings.TLS.mtls"]),
        ("frontends/f/middlewares/m", '{"Type": "trace", "Middleware": {"x": 1}}', []),
        ("frontends/f/frontend", '{"BackendId": "b", "Route": "x", "Prio": 1}', ["Prio"]),
        ("hosts/h/host", '{"Settings": {"OCSP": {"On": true}}}', ["Settings.OCSP.On"]),
        ("listeners/l", '{"Address": {"Address": ":1"}}', []),
    ],
)
def test_fields_without_a_meaning_are_named(path, value, names):
    assert unknown_fields(path, value) == names


@pytest.mark.parametrize(
    ("ocsp", "complaint"),
    [
        ('{"Enabled": true, "Period": "soon"}', "OCSP.Period"),
        ('{"Enabled": true, "Responders": ["ldap://x"]}', "OCSP.Responders"),
    ],
)
def test_settings_of_stapling_that_cannot_be_are_refused(ocsp, complaint):
    with pytest.raises(ModelError, match=complaint):
        decode("hosts/h/host", f'{{"Settings": {{"OCSP": {ocsp}}}}}')
