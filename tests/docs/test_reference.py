"""docs/reference/ is up to date. `make reference` writes it."""

import re
from pathlib import Path

import pytest

from coordinator.core.v2api import routes
from daemonkit.observe import status_page
from rig.cluster import ask
from rig.processes import Coordinator, free_port, wait_until
from tests.docs import reference, scraped

REMEDY = "docs/reference is out of date: run `make reference`"
UNKNOWN = "404 page not found"


@pytest.mark.parametrize("page", [reference.commands, reference.keys, reference.http])
def test_a_generated_page_is_up_to_date(page: object) -> None:
    assert callable(page)
    written = (reference.DIRECTORY / f"{page.__name__}.md").read_text()
    assert written == page(), REMEDY


def test_every_metric_of_a_daemon_is_documented(tmp_path: Path) -> None:
    written = (reference.DIRECTORY / "metrics.md").read_text()
    documented = {
        daemon: set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
        for daemon, text in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", written, re.MULTILINE)
    }
    for daemon, families in scraped.families(tmp_path).items():
        assert {name for name, *_ in families} <= documented[daemon], REMEDY


def test_a_member_answers_every_documented_path(tmp_path: Path) -> None:
    page = f"127.0.0.1:{free_port()}"
    with Coordinator(tmp_path, "--status-addr", page) as own:
        wait_until(lambda: ask("GET", f"http://{page}/ready").status == 200, "ready")
        served = [(own.url, each) for each in routes.CLIENT]
        served += [(f"http://{page}", each) for each in status_page.ROUTES]
        for base, route in served:
            if "GET" in route.methods.split():
                path = route.path.replace("TOKEN", "0" * 32)
                answer = ask("GET", base + path)
                assert UNKNOWN not in str(answer.body), path
                assert answer.status not in {405, 501}, path
