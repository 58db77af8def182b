"""The coordinator compared with a real one-member etcd 3.4 (v2 API), both with fsync."""

import tempfile
from pathlib import Path

from bench.load import PUT, requests_per_second
from bench.table import Row, alternate
from rig.processes import Coordinator, Etcd

PUT_TARGETS = {1: 0.9, 64: 1.3, 256: 2.0}
GET_TARGETS = {64: 1.8}


def rows() -> list[Row]:
    """Measure writes and reads over keep-alive connections."""
    out = []
    with (
        tempfile.TemporaryDirectory() as directory,
        Coordinator(Path(directory)) as ours,
        Etcd(Path(directory)) as etcd,
    ):
        urls = (ours.url, etcd.url)
        for connections, target in PUT_TARGETS.items():
            out.append(_row("PUT", connections, target, urls, PUT))
        for connections, target in GET_TARGETS.items():
            out.append(_row("GET", connections, target, urls, ""))
    return out


def _row(verb: str, connections: int, target: float, urls: tuple[str, str], script: str) -> Row:
    ours, peer = (f"{url}/v2/keys/bench/key1" for url in urls)
    measured = alternate(
        lambda: requests_per_second(ours, connections, script),
        lambda: requests_per_second(peer, connections, script),
    )
    return Row(
        area="coordinator",
        name=f"{verb}, {connections} connection{'s' if connections > 1 else ''}",
        unit="/s",
        ours=measured[0],
        peer=measured[1],
        peer_name="etcd",
        target=target,
    )
