"""Load from wrk, and what it measured."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.table import ROUND_S
from rig.processes import require

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s|m)\b")
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_ERRORS = re.compile(r"Non-2xx or 3xx responses:\s+(\d+)|Socket errors: (.+)")

PUT = """
wrk.method = "PUT"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, "/v2/keys/bench/key" .. (n % 1000), nil, "value=" .. n)
end
"""

# wrk's timer keeps it on one core; the server has the other.
_THREADS = "1"


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one round."""

    per_s: float
    p99_ms: float


def requests_per_second(url: str, connections: int, script: str = "", host: str = "") -> float:
    """Send load to `url` for one round; return the rate of answers."""
    return load(url, connections, script, host).per_s


def load(url: str, connections: int, script: str = "", host: str = "") -> Load:
    """Send load to `url` for one round. Raise for an answer but 2xx and 3xx, or a socket error."""
    command = [require("wrk"), "-t", _THREADS, "-c", str(connections), "-d", f"{ROUND_S:g}s"]
    command.append("--latency")
    if host:
        command += ["-H", f"Host: {host}"]
    with tempfile.TemporaryDirectory() as directory:
        if script:
            path = Path(directory) / "load.lua"
            path.write_text(script)
            command += ["-s", str(path)]
        done = subprocess.run([*command, url], check=True, capture_output=True, text=True)
    if errors := _ERRORS.search(done.stdout):
        raise RuntimeError(f"{url}: {errors[0]}")
    rate = _RATE.search(done.stdout)
    p99 = _P99.search(done.stdout)
    assert rate is not None, done.stdout
    assert p99 is not None, done.stdout
    return Load(float(rate[1]), float(p99[1]) * _MS[p99[2]])
