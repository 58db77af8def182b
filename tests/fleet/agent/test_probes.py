"""Readiness: the check of a job, and those of the services that it serves."""

import asyncio
import contextlib
import ssl
import time
from pathlib import Path

from daemonkit.http.tls import TlsFiles
from fleet.agent.probes import Prober
from fleet.core import endpoints, keys
from fleet.core.model import Allocation, Endpoint, Phase, Report
from rig.fleet_authority import FleetAuthority

DEADLINE_S = 30.0
GOOD = Endpoint("good.example.com", 0, check="http:/good")
BAD = Endpoint("bad.example.com", 0, check="http:/bad")
PLAIN = Endpoint("plain.example.com", 0)


def allocation(port: int) -> Allocation:
    return Allocation(
        job="web.service", index=0, version=1, unit="u", rev=1, name="web", port=port, check="tcp",
        endpoints=(GOOD, BAD, PLAIN),
    )  # fmt: skip


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = b""
    with contextlib.suppress(asyncio.IncompleteReadError):  # a tcp check sends nothing
        line = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if b"/good" in line else b"HTTP/1.1 500 No\r\n\r\n")
    writer.close()


def test_an_instance_serves_a_service_whose_check_it_passes() -> None:
    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        mine = allocation(server.sockets[0].getsockname()[1])
        readiness = Prober("127.0.0.1", lambda: None)
        readiness.follow([mine])
        end_s = time.monotonic() + DEADLINE_S
        while not (readiness.is_ready(mine) and readiness.serves(mine, GOOD)):
            assert time.monotonic() < end_s
            await asyncio.sleep(0.02)
        assert not readiness.serves(mine, BAD)
        assert readiness.serves(mine, PLAIN)
        readiness.close()
        assert not readiness.is_ready(mine)
        server.close()

    asyncio.run(story())


def test_an_instance_is_published_for_the_services_it_serves() -> None:
    report = Report(allocation(80), Phase.READY, unserved=(BAD.service,))
    found = endpoints.endpoint_records([report], "10.0.0.1", "a" * 32)
    label = endpoints.label_of(report.allocation, "a" * 32)
    assert keys.dns(GOOD.service, label) in found
    assert keys.dns(PLAIN.service, label) in found
    assert keys.dns(BAD.service, label) not in found
    assert keys.server(BAD.service, label) not in found


def test_an_https_check_presents_the_certificate_of_the_host(tmp_path: Path) -> None:
    fleet = FleetAuthority(tmp_path)
    own, served = fleet.host("h1"), fleet.host("h1", daemon="vulcand")
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=fleet.ca_file)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_cert_chain(served.cert, served.key)

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=asking)
        port = server.sockets[0].getsockname()[1]
        mine = Allocation(
            job="edge.service", index=0, version=1, unit="u", rev=1, name="edge", port=port,
            check="https:/good",
        )  # fmt: skip
        known = Prober("127.0.0.1", lambda: None, TlsFiles(own.cert, own.key))
        unknown = Prober("127.0.0.1", lambda: None)
        for each in (known, unknown):
            each.follow([mine])
        end_s = time.monotonic() + DEADLINE_S
        while not known.is_ready(mine):
            assert time.monotonic() < end_s
            await asyncio.sleep(0.02)
        assert not unknown.is_ready(mine)
        for each in (known, unknown):
            each.close()
        server.close()

    asyncio.run(story())
