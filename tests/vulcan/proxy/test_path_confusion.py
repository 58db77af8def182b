"""No spelling of a path goes past the frontend that protects the path."""

import subprocess

import pytest

from rig.processes import require, wait_until
from rig.vulcan_site import Origin, Site, respond_text

HOST = "guarded.example"
DENIED, REFUSED, OPEN = "403", "400", "200"


@pytest.fixture(scope="module")
def guarded(shared: Site):
    """`/admin` is for nobody here; everything else on the same server is open."""
    with Origin(respond_text("ok")) as origin:
        shared.server("s", origin.url, HOST)
        deny = {"Type": "ipallow", "Middleware": {"Allow": ["192.0.2.1"]}}
        for name, path in {"admin": "/admin", "scope": "/@internal", "name": "/é x"}.items():
            shared.put(f"frontends/{name}/middlewares/ip", deny)
            shared.frontend(name, f'Host("{HOST}") && PathPrefix("{path}")', HOST)
        shared.frontend("any", f'Host("{HOST}") && Path("/<path:any>")', HOST)
        wait_until(lambda: status(shared, "/") == OPEN, "the catch-all in force")
        wait_until(lambda: status(shared, "/admin") == DENIED, "the guard in force")
        yield shared, origin


def status(site: Site, path: str, *options: str) -> str:
    url = f"http://127.0.0.1:{site.vulcand.port}{path}"
    command = [
        require("curl"),
        "-s",
        "--path-as-is",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        *options,
    ]
    command += ["-m", "40", "-H", f"Host: {HOST}", url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "path",
    [
        "/admin/x",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin",
        "/./admin",
        "/%61dmin",
        "//admin",
        "/x/..//admin",
        "///admin/users",
        "/%40internal",
        "/%C3%A9%20x",
        "/../admin",
    ],
)
def test_a_protected_path_is_denied_however_it_is_written(guarded, path: str):
    site, origin = guarded
    before = len(origin.calls)
    assert status(site, path) == DENIED
    assert len(origin.calls) == before


@pytest.mark.parametrize(
    "path",
    [
        "/x%2f..%2fadmin",
        "/x/..%2Fadmin",
        "/%2fadmin",
        "/x/..%5cadmin",
        r"/x\..\admin",
        "/x/..;/admin",
        "/;a=b/admin",
        "/x/%00/../admin",
        "/%zz",
        "/100%",
    ],
)
def test_a_path_that_servers_could_read_in_two_ways_is_refused(guarded, path: str):
    site, origin = guarded
    before = len(origin.calls)
    assert status(site, path) == REFUSED
    assert len(origin.calls) == before


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        ("/x/../y", "/y"),
        ("/%7Euser/%2e", "/~user/"),
        ("/group%2fproject?a=%2e%2e/b", "/group%2Fproject?a=%2e%2e/b"),
        ("/fetch/http://h/x", "/fetch/http://h/x"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/p%20q%26r", "/p%20q%26r"),
        ("/.well-known/a", "/.well-known/a"),
    ],
)
def test_the_server_gets_the_path_that_the_route_was_chosen_by(guarded, path: str, forwarded: str):
    site, origin = guarded
    assert status(site, path) == OPEN
    assert origin.calls[-1].head.split(b" ")[1].decode() == forwarded
