"""Blockers with real locks, commands and HTTP servers, and a fake logind on a private bus."""

import asyncio
import fcntl
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from locksmith.host import blockers, logind, update_engine
from locksmith.host.blockers import Blockers
from rig.processes import ROOT, Running, free_port, require


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers the one query that is asked, and /up and /down."""

    alerts: tuple[str, ...] = ()

    def do_GET(self) -> None:
        good = self.path.startswith("/api/v1/query") or self.path == "/up"
        result = [{"metric": {"alertname": name}, "value": [0, "1"]} for name in self.alerts]
        body = json.dumps({"status": "success", "data": {"result": result}}).encode()
        self.send_response(200 if good else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_firing_alerts_block_the_reboot_unless_ignored(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert blockers.alerts_firing(web, "") == ""
    monkeypatch.setattr(Prometheus, "alerts", ("Watchdog", "DiskFull"))
    assert blockers.alerts_firing(web, "^Watchdog$") == "alerts: DiskFull"
    assert blockers.alerts_firing(web, ".*") == ""


def test_unreachable_prometheus_blocks_the_reboot(web: str) -> None:
    assert "does not answer" in blockers.alerts_firing(f"http://127.0.0.1:{free_port()}", "")
    assert "does not answer" in blockers.alerts_firing(f"{web}/elsewhere", "")


def test_failing_commands_and_urls_block_the_reboot(web: str) -> None:
    good = Blockers(("true",), (f"{web}/up",), ignore_users=True)
    assert asyncio.run(good.find()) == ()
    bad = Blockers(("echo no capacity; exit 1",), (f"{web}/down",), ignore_users=True)
    found = " ".join(asyncio.run(bad.find()))
    assert "no capacity" in found
    assert "503" in found


def test_running_package_manager_blocks_the_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock-frontend"
    monkeypatch.setattr(blockers, "PACKAGE_LOCKS", (str(lock),))
    with lock.open("w") as file:
        assert blockers.package_manager_running() == ""
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert str(lock) in blockers.package_manager_running()
    assert blockers.package_manager_running() == ""


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A separate bus, on which there is no logind yet."""
    address = f"unix:path={tmp_path}/bus"
    config = tmp_path / "bus.conf"
    config.write_text(
        f"<busconfig><type>custom</type><listen>{address}</listen><policy context='default'>"
        "<allow send_destination='*'/><allow own='*'/><allow eavesdrop='true'/></policy>"
        "</busconfig>"
    )
    command = [require("dbus-daemon"), f"--config-file={config}", "--nofork"]
    with Running(command, tmp_path / "bus.log") as running:
        running.wait_for((tmp_path / "bus").exists, "the bus listens")
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def login1(bus: str, tmp_path: Path) -> Iterator[Running]:
    """A service with logind's name that answers every call with an error."""
    command = [sys.executable, "-m", "tests.locksmith.host.fake_logind", bus]
    with Running(command, tmp_path / "login1.log") as running:
        running.wait_for(lambda: "ready" in running.tail(), "the service owns its names")
        yield running


def test_host_without_bus_or_logind_is_not_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    assert asyncio.run(blockers.shutdown_inhibited()) == ""
    assert asyncio.run(blockers.users_logged_in()) == ""


def test_blocking_inhibitor_is_named(login1: Running) -> None:
    assert asyncio.run(blockers.shutdown_inhibited()) == "inhibited by backup: writes a tape"


def test_logged_in_people_block_the_reboot_and_services_do_not(login1: Running) -> None:
    assert asyncio.run(blockers.users_logged_in()) == "users: ada"


def test_refusal_of_logind_is_final(login1: Running) -> None:
    with pytest.raises(logind.RebootRefused, match="inhibitor lock"):
        asyncio.run(logind.reboot())


def test_only_signals_of_the_owner_of_update_engines_name_count(login1: Running, bus: str) -> None:
    async def follow() -> list[str]:
        reported: list[str] = []
        following = asyncio.ensure_future(update_engine.follow(lambda: reported.append("need")))
        await asyncio.sleep(0.3)
        for who in ("stranger", "engine"):
            sender = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.locksmith.host.fake_logind", bus, who, cwd=ROOT
            )
            assert await asyncio.wait_for(sender.wait(), 20) == 0
            if who == "stranger":
                assert not reported
        for _ in range(100):
            if reported:
                break
            await asyncio.sleep(0.05)
        following.cancel()
        return reported

    assert asyncio.run(follow()) == ["need"]
