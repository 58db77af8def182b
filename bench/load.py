"""Load from wrk, and what it measured."""

import re
import subprocess
import tempfile
from pathlib import Path

from bench.table import ROUND_S
from tests.rig import require

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
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


def requests_per_second(url: str, connections: int, script: str = "", host: str = "") -> float:
    """Drive `url` for one round; any answer but 2xx and 3xx, or a broken socket, is an error."""
    command = [require("wrk"), "-t", _THREADS, "-c", str(connections), "-d", f"{ROUND_S:g}s"]
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
    assert rate is not None, done.stdout
    return float(rate[1])
