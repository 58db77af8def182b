"""`skydnsctl` with a real daemon and a real store."""

import json
import subprocess
from pathlib import Path

from coordinator.client import connect
from rig.processes import Coordinator, python, run, wait_until
from tests.skydns.skydns_process import D, Skydns


def ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(python("skydns.ctl", *arguments), timeout_s=30)


def test_records_are_written_listed_explained_and_removed(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    at = ["--endpoints", coordinator.url]
    with Skydns(tmp_path, coordinator.url) as skydns:
        skydns.ready()
        added = ctl("add", "x1.web.skydns.local", "--host", "10.0.0.1", "--port", "80", *at)
        assert added.stdout == f'{D}/web/x1 {{"host": "10.0.0.1", "port": 80}}\n'
        again = ctl("add", "x1.web.skydns.local", "--host", "10.0.0.9", *at)
        assert (again.returncode, "--force" in again.stderr) == (1, True)
        assert ctl("add", "x1.web.skydns.local", *at).returncode == 2
        wait_until(lambda: skydns.short("web.skydns.local") == ["10.0.0.1"], "the record")
        connect(coordinator.url).put(f"{D}/web/bad", '{"port": "80"}')
        (row, bad) = sorted(
            json.loads(ctl("list", "web.skydns.local", "--json", *at).stdout),
            key=lambda row: row["name"],
            reverse=True,
        )
        assert (row["name"], row["key"]) == ("x1.web.skydns.local.", f"{D}/web/x1")
        assert "reason" in bad
        linted = ctl("lint", *at)
        assert (linted.returncode, linted.stdout.startswith(f"error: {D}/web/bad: ")) == (1, True)
        skydns.short("web.skydns.local", "SRV")
        why = ctl("explain", "web.skydns.local", "SRV", "--server", f"127.0.0.1:{skydns.port}")
        assert f"key: {D}/web/x1 index " in why.stdout
        assert "100 * 100 // 100 of priority 10 = 100" in why.stdout
        assert "cache: " in why.stdout
        assert f"skip: {D}/web/bad: " in why.stdout
        page = skydns.status_url.removeprefix("http://")
        shown = wait_until(lambda: ctl("top", "--status-addr", page).stdout, "what is asked")
        assert "web.skydns.local. A" in shown
        assert "127.0.0.1" in shown
        assert ctl("rm", "web.skydns.local", *at).returncode == 1
        assert ctl("rm", "web.skydns.local", "--recursive", *at).returncode == 0
        wait_until(lambda: "NXDOMAIN" in skydns.dig("web.skydns.local"), "it is gone")
        assert ctl("rm", "web.skydns.local", *at).returncode == 1
        assert ctl("explain", "x", "--server", "127.0.0.1:1").returncode == 1
        assert "CNAME" in ctl("explain", "x", "NONSENSE").stderr
