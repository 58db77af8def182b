"""What the proxy passes on and writes about requests: traces and the access log."""

from collections.abc import Iterator

import pytest

from rig.processes import Coordinator, wait_until
from rig.vulcan_site import Call, Client, Origin, Site, respond_text, site


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("access")
    arguments = ("--access-log", str(directory / "access"), "--access-log-format", "combined")
    with Coordinator(directory) as store, site(directory, store.url, *arguments) as running:
        yield running


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_trace_continues_with_a_new_span_and_an_invalid_one_is_replaced(live: Site, host: str):
    with Origin(respond_text("x")) as origin, Client(live.vulcand.port) as client:
        live.route(origin, host)
        for given in (f"00-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", "nonsense"):
            client.request(f"GET / HTTP/1.1\nHost: {host}\ntraceparent: {given}\ntracestate: a=b")
        client.request(f"GET / HTTP/1.1\nHost: {host}")
        traces = [str(call.field("traceparent")).split("-") for call in origin.calls]
    assert [each[0] for each in traces] == ["00"] * 4
    assert [each[1] == TRACE for each in traces] == [True, False, False, False]
    assert traces[0][3] == "01"
    assert len({each[1] for each in traces}) == 4
    assert len({SPAN, *(each[2] for each in traces)}) == 5
    assert all(len(each[1]) == 32 and len(each[2]) == 16 for each in traces)
    assert origin.calls[0].field("tracestate") == "a=b"


def test_the_combined_access_log_quotes_what_a_client_sent(live: Site, host: str):
    with Origin(respond_text("ok")) as origin, Client(live.vulcand.port) as client:
        live.route(origin, host)
        client.request(
            f'GET /combined HTTP/1.1\nHost: {host}\nUser-Agent: a"b\\c\nReferer: http://r/'
        )
        log = live.vulcand.log.parent / "access"
        wait_until(lambda: "/combined" in log.read_text(), "a line", 30)
    line = next(each for each in log.read_text().splitlines() if "/combined" in each)
    assert line.startswith("127.0.0.1 - - [")
    assert f'"GET /combined HTTP/1.1" 200 2 "http://r/" "a\\x22b\\x5cc" {host} s 0.' in line
    assert line.endswith(" -")


def test_a_malformed_body_is_logged_as_what_the_client_was_told(live: Site, host: str):
    async def script(call: Call) -> None:
        await call.reader.read()

    with Origin(script) as origin, Client(live.vulcand.port) as client:
        live.route(origin, host)
        client.send(f"POST /bad HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("zz\r\n")
        assert client.response("POST").status == 400
        log = live.vulcand.log.parent / "access"
        wait_until(lambda: "/bad" in log.read_text(), "a line", 30)
    line = next(each for each in log.read_text().splitlines() if "/bad" in each)
    assert '"POST /bad HTTP/1.1" 400 ' in line
    assert line.endswith(" refused")
    counted = live.vulcand.metric
    wait_until(lambda: counted("vulcand_requests_total", frontend=host, code="400") == 1, "it")
    assert counted("vulcand_clients_gone_total", frontend=host) == 0
