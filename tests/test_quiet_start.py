"""Daemons that start before their store."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.client import Unavailable, connect
from rig.processes import Coordinator, Running, answers, free_port, script, wait_until

RESOURCE = '[template]\nsrc = "a.j2"\ndest = "{out}"\nkeys = ["/app"]\n'


def daemons(directory: Path, url: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each daemon's status page and command."""
    confdir = directory / "confdir"
    (confdir / "conf.d").mkdir(parents=True)
    (confdir / "templates").mkdir()
    (confdir / "templates" / "a.j2").write_text("{{ ls('/app') }}")
    (confdir / "conf.d" / "a.toml").write_text(RESOURCE.format(out=directory / "out"))
    hooks = ["--hooks-dir", str(directory / "none"), "--probe", "none"]
    commands = {
        "locksmithd": ["--strategy", "off", *hooks],
        "skydns": ["--addr", f"127.0.0.1:{free_port()}", "--lame-duck", "0"],
        "confd": ["--confdir", str(confdir), "--watch"],
        "vulcand": ["--port", str(free_port()), "--api-port", str(free_port())],
        "fleetd": ["--scheduler", "--state-dir", str(directory / "fleetd")],
    }
    for program, arguments in commands.items():
        page = f"127.0.0.1:{free_port()}"
        command = script(program, "--endpoints", url, "--status-addr", page, *arguments)
        yield f"http://{page}/ready", command


def test_no_daemon_complains_about_a_store_that_starts_with_it(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        begun: dict[str, Running] = {}
        for page, command in daemons(tmp_path, f"http://127.0.0.1:{port}"):
            log = tmp_path / f"{Path(command[0]).name}.log"
            begun[page] = stack.enter_context(Running(command, log))
        health = [page.replace("/ready", "/health") for page in begun]
        wait_until(lambda: any(map(answers, health)), "the first daemon runs")
        stack.enter_context(Coordinator(tmp_path, port=port))
        for page, process in begun.items():
            process.wait_for(lambda page=page: answers(page), f"{page} is ready")
        for process in begun.values():
            lines = [each for each in process.tail().splitlines() if " info " not in each]
            assert lines == [], f"{process.log.name}:\n" + "\n".join(lines)


def test_a_store_that_never_came_is_waited_for_and_then_missed() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable), connect(url) as store:
        store.get("/a")
    with pytest.raises(Unavailable), connect(url, patience_s=0.5) as store:
        store.get("/a")


def test_only_the_first_answer_is_waited_for(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as member, connect(member.url, patience_s=600.0) as store:
        store.put("/a", "1")
        member.kill()
        with pytest.raises(Unavailable):
            store.get("/a")
