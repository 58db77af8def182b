"""The notification protocol of the service manager."""

import os
import socket
import time
from pathlib import Path

import pytest

from daemonkit.process import sd_notify


def test_without_a_service_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    sd_notify.notify(READY="1")


def test_a_service_manager_that_reads_nothing_does_not_block_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a crash PID 1 freezes: its socket still exists, and its buffer is full."""
    address = f"\0slashetc-test-{os.getpid()}-frozen"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as frozen,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others,
    ):
        frozen.bind(address)
        others.setblocking(False)
        with pytest.raises(BlockingIOError):
            fill(others, address)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + address[1:])
        began_s = time.monotonic()
        for _ in range(20):
            sd_notify.notify(STATUS="well", WATCHDOG="1")
        assert time.monotonic() - began_s < 0.9  # less than one wait for READY
        assert len(caplog.records) == 20
        sd_notify.notify(READY="1")
        assert time.monotonic() - began_s >= sd_notify._READY_S


def fill(sock: socket.socket, address: str) -> None:
    while True:
        sock.sendto(b"x", address)


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("", "", None),
        ("0", "", None),
        ("soon", "", None),
        ("3000000", "", 1.5),
        ("3000000", "own", 1.5),
        ("3000000", "1", None),
    ],
)
def test_the_watchdog_interval_is_half_its_timeout(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, interval_s: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid.replace("own", str(os.getpid())))
    assert sd_notify.watchdog_interval_s() == interval_s
