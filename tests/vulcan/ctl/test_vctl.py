"""vctl with a running vulcand: vulcand's commands and flags, and our own."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig import vulcan_certificates
from rig.processes import Coordinator, free_port, wait_until
from rig.vulcan_site import Client, Origin, Site, respond_text, respond_with, site
from vulcan.core.config.secretbox import SealKeys, parse_key
from vulcan.ctl.app import main
from vulcan.ctl.go_flags import global_options_first

SEAL_KEY = "5c" * 32


@dataclass
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def rows(self, title: str) -> list[list[str]]:
        """Return the rows below a table's title, first the titles of the columns."""
        lines = self.out.split(f"[{title}]\n")[1].split("\n\n")[0].splitlines()
        return [line.split() for line in lines]


Vctl = Callable[..., Outcome]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("vctl")
    arguments = ("--seal-key", SEAL_KEY, "--node", "one")
    with Coordinator(directory) as store, site(directory, store.url, *arguments) as running:
        yield running


@pytest.fixture
def vctl(live: Site, capsys: pytest.CaptureFixture[str]) -> Vctl:
    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "-vulcan", f"http://127.0.0.1:{live.vulcand.api_port}"])
        captured = capsys.readouterr()
        return Outcome(int(str(ended.value.code)), captured.out, captured.err)

    return run


def done(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return outcome.out


def shown(vctl: Vctl, *arguments: str) -> dict:
    return json.loads(done(vctl(*arguments)))


def test_a_site_built_with_vulcands_own_commands_serves_requests(live: Site, vctl: Vctl, host: str):
    with Origin(respond_text("hello")) as origin:
        made = ["-readTimeout", "5s", "-dialTimeout", "1s", "-maxIdleConns", "3"]
        assert done(vctl("backend", "upsert", "-id", "b1", *made)) == "OK: backend upserted\n"
        done(vctl("server", "upsert", "-b", "b1", "-id", "s1", "-url", origin.url, "-ttl", "1h"))
        route = f'Host("{host}") && Path("/<path:any>")'
        done(vctl("frontend", "upsert", "-id", "f1", "-b", "b1", "-route", route))
        wait_until(lambda: live.vulcand.get("/x", host).body == b"hello", "a response", 30)

    backends = vctl("backend", "ls").rows("Backends")
    assert backends[0] == ["Id", "Type"]
    assert ["b1", "http"] in backends
    assert vctl("server", "ls", "-b", "b1").rows("Servers")[1] == ["s1", origin.url]
    frontends = vctl("frontend", "ls").rows("Frontends")
    assert frontends[0] == ["Id", "Route", "Backend", "Type"]
    assert [row[-2:] for row in frontends if row[0] == "f1"] == [["b1", "http"]]
    settings = shown(vctl, "backend", "show", "--id", "b1")["Settings"]
    assert settings["Timeouts"] == {"Read": "5s", "Dial": "1s", "TLSHandshake": ""}
    assert settings["KeepAlive"]["MaxIdleConnsPerHost"] == 3

    used = vctl("backend", "rm", "-id", "b1")
    assert (used.code, used.err) == (1, "vctl: backend b1 is used by frontends: f1\n")
    assert done(vctl("frontend", "rm", "-id", "f1")) == "OK: f1 deleted\n"
    wait_until(lambda: live.vulcand.get("/x", host).status == 404, "the route to be gone", 30)
    done(vctl("server", "rm", "-b", "b1", "-id", "s1"))
    done(vctl("backend", "rm", "-id", "b1"))
    assert vctl("backend", "show", "-id", "b1").code == 3


def test_the_settings_of_a_frontend_are_flags(vctl: Vctl):
    flags = ["-maxMemBodyKB", "2", "-maxBodyKB", "3", "-forwardHost", "edge", "-ttl", "1h"]
    flags += ["-failoverPredicate", "IsNetworkError() && Attempts() < 3", "-priority", "7"]
    flags += ["-trustForwardHeader", "-passHostHeader"]
    done(vctl("backend", "upsert", "-id", "b2"))
    done(vctl("frontend", "upsert", "-id", "f2", "-b", "b2", "-route", 'Path("/f2")', *flags))
    settings = shown(vctl, "frontend", "show", "-id", "f2")["Settings"]
    assert settings["Limits"] == {"MaxMemBodyBytes": 2048, "MaxBodyBytes": 3072}
    assert settings["FailoverPredicate"] == "IsNetworkError() && Attempts() < 3"
    assert (settings["Hostname"], settings["Priority"]) == ("edge", 7)
    assert settings["TrustForwardHeader"] is settings["PassHostHeader"] is True
    done(vctl("frontend", "rm", "-id", "f2"))


def test_flags_may_be_written_as_go_writes_them(live: Site, vctl: Vctl):
    done(vctl("backend", "upsert", "-id=go"))
    done(
        vctl("frontend", "upsert", "-id=go", "-b=go", '--route=Path("/go")', "-passHostHeader=true")
    )
    frontend = shown(vctl, "frontend", "show", "-id=go")
    assert frontend["BackendId"] == "go"
    assert frontend["Settings"]["PassHostHeader"] is True
    done(vctl("connlimit", "upsert", "-f=go", "-id=c", "-conns=2"))
    assert shown(vctl, "connlimit", "show", "-f=go", "-id=c")["Middleware"]["Connections"] == 2
    done(vctl("log", "set_severity", "-s=INFO"))
    assert vctl("top", "-b=go", "-limit=1", "-refresh=0").rows("Frontends")[1][0] == "go"
    done(vctl("frontend", "rm", "-id=go"))


MIDDLEWARES = {
    "ratelimit": (
        ["-period", "2", "-requests", "3", "-burst", "4", "-var", "request.host"],
        {"PeriodSeconds": 2, "Requests": 3, "Burst": 4, "Variable": "request.host", "RateVar": ""},
    ),
    "connlimit": (["-conns", "5"], {"Connections": 5, "Variable": "client.ip"}),
    "rewrite": (
        ["-regexp", "^http://(.*)$", "-replacement", "https://$1", "-redirect"],
        {"Regexp": "^http://(.*)$", "Replacement": "https://$1", "Redirect": True},
    ),
    "cbreaker": (
        [
            *("-condition", "NetworkErrorRatio() > 0.5", "-checkPeriod", "200ms"),
            *("-fallback", '{"Type": "response", "Action": {"StatusCode": 503, "Body": "no"}}'),
        ],
        {
            "Condition": "NetworkErrorRatio() > 0.5",
            "CheckPeriod": 200_000_000,
            "FallbackDuration": 10_000_000_000,
        },
    ),
    "trace": (
        ["-addr", "syslog://127.0.0.1:5140", "-reqHeader", "A", "-reqHeader", "B"],
        {"Addr": "syslog://127.0.0.1:5140", "ReqHeaders": ["A", "B"], "RespHeaders": []},
    ),
    "headers": (["-request", "X-A: b"], {"Request": {"X-A": "b"}}),
    "ipallow": (["-allow", "10.0.0.0/8"], {"Allow": ["10.0.0.0/8"], "Deny": []}),
}


@pytest.mark.parametrize("kind", MIDDLEWARES)
def test_a_middleware_is_written_listed_and_removed_by_its_command(vctl: Vctl, kind: str):
    flags, wanted = MIDDLEWARES[kind]
    frontend = f"m-{kind}"
    done(vctl("backend", "upsert", "-id", "b"))
    done(vctl("frontend", "upsert", "-id", frontend, "-b", "b", "-route", f'Path("/{kind}")'))
    done(vctl(kind, "upsert", "-f", frontend, "-id", "m", "-priority", "2", *flags))
    made = shown(vctl, kind, "show", "-f", frontend, "-id", "m")
    assert (made["Type"], made["Priority"]) == (kind, 2)
    assert wanted.items() <= made["Middleware"].items()
    listed = vctl(kind, "ls", "-f", frontend).rows("Middlewares")
    assert listed[0] == ["Id", "Priority", "Type", "Settings"]
    assert listed[1][:3] == ["m", "2", kind]
    assert done(vctl(kind, "rm", "-f", frontend, "-id", "m")) == "OK: m deleted\n"


def test_a_rewrite_of_bodies_is_refused_with_the_reason(vctl: Vctl):
    flags = ["-regexp", "a", "-replacement", "b", "-rewriteBody"]
    outcome = vctl("rewrite", "upsert", "-f", "f", "-id", "r", *flags)
    assert outcome.code == 1
    assert "RewriteBody" in outcome.err


def test_a_host_with_its_key_pair_serves_tls_on_a_listener_made_by_flags(
    live: Site, vctl: Vctl, tmp_path: Path
):
    cert, key = vulcan_certificates.write_pair(tmp_path, "www.example")
    flags = ["-cert", str(cert), "-privateKey", str(key), "-default"]
    done(vctl("host", "upsert", "-name", "www.example", *flags))
    port = free_port()
    tls = ["-tlsMinV", "VersionTLS12", "-tlsSessionCache", "LRU", "-tlsSessionCacheCapacity", "9"]
    listening = ["-addr", f"127.0.0.1:{port}", "-proto", "https", "-scope", "Path(`/<path:p>`)"]
    done(vctl("listener", "upsert", "-id", "l1", *listening, *tls))
    wait_until(lambda: handshake(port, cert), "a TLS handshake", 30)

    assert vctl("host", "ls").rows("Hosts") == [["Name", "Default"], ["www.example", "True"]]
    assert shown(vctl, "host", "show", "-name", "www.example")["Settings"]["KeyPair"] is None
    row = vctl("listener", "ls").rows("Listeners")
    assert row[0] == ["Id", "Protocol", "Network", "Address", "Scope", "ProxyProtocol"]
    assert row[1][:4] == ["l1", "https", "tcp", f"127.0.0.1:{port}"]
    done(vctl("listener", "rm", "-id", "l1"))
    done(vctl("host", "rm", "-name", "www.example"))


def handshake(port: int, trusted: Path) -> bool:
    context = ssl.create_default_context(cafile=str(trusted))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as sock,
            context.wrap_socket(sock, server_hostname="www.example"),
        ):
            return True
    except OSError:
        return False


def test_the_proxy_protocol_is_refused_with_the_reason(vctl: Vctl):
    flags = ["-addr", "127.0.0.1:0", "-proxy-header", "PROXY_V1"]
    outcome = vctl("listener", "upsert", "-id", "p", *flags)
    assert outcome.code == 1
    assert 'ProxyProtocol is "PROXY_V1": it is not supported' in outcome.err


def test_key_pairs_are_sealed_without_a_running_vulcand(vctl: Vctl, tmp_path: Path):
    cert, key = vulcan_certificates.write_pair(tmp_path, "www.example")
    secret = done(vctl("secret", "new_key")).strip()
    flags = ["-sealKey", secret, "-cert", str(cert), "-privateKey", str(key)]
    sealed = json.loads(done(vctl("secret", "seal_keypair", *flags)))
    assert SealKeys((parse_key(secret),)).open(sealed).cert == cert.read_bytes()
    file = tmp_path / "key"
    done(vctl("secret", "new_key", "-f", str(file)))
    assert len(file.read_text()) == 64
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_log_level_is_changed_in_every_process(live: Site, vctl: Vctl):
    assert done(vctl("log", "get_severity")) == "OK: severity: info\n"
    outcome = done(vctl("log", "set_severity", "-s", "error"))
    assert outcome == "OK: Severity has been updated to error\n"
    assert done(vctl("log", "get_severity", "--json")) == '{\n  "severity": "error"\n}\n'
    assert vctl("log", "set_severity", "-s", "loud").code == 1
    assert live.vulcand.api("/v2/log/severity") == {"severity": "error"}
    done(vctl("log", "set_severity", "-s", "info"))


def test_top_shows_rates_latencies_codes_and_network_errors(live: Site, vctl: Vctl, host: str):
    with (
        Origin(respond_with(b"HTTP/1.1 204 No Content\r\n\r\n")) as origin,
        Client(live.vulcand.port) as c,
    ):
        live.route(origin, host)
        for _ in range(4):
            assert c.request(f"GET / HTTP/1.1\nHost: {host}").status == 204
        row: list[str] = []

        def counted() -> bool:
            rows = vctl("top", "-b", host, "-limit", "5", "-refresh", "0").rows("Frontends")
            row[:] = next((each for each in rows if each[0] == host), [])
            return "204:" in row

        wait_until(counted, "the worker has reported", 30)
    columns = "Id Route R/sec 50ile[ms] 95ile[ms] 99ile[ms] Status codes % Net. errors %"
    assert columns.split() == vctl("top").rows("Frontends")[0]
    assert row[row.index("204:") + 1] == "100.00"
    assert row[-1] == "0.00"
    assert vctl("top", "-b", host).rows("Servers")[1][1] == origin.url


def test_status_shows_every_node_with_its_index_and_lag(live: Site, vctl: Vctl):
    live.put("backends/lagging/backend", {"Type": "http"})
    live.settle()
    index = live.vulcand.state()["index"]
    store, key = live.store, "/vulcand-status/two"
    status = {"Node": "two", "Index": index - 1, "Changed": index - 1}
    store.put(key, json.dumps(status), ttl_s=60)
    rows = vctl("status").rows("Nodes")
    assert rows[0][:3] == ["Node", "Index", "Lag"]
    assert [row[0] for row in rows[1:]] == ["one", "two"]
    assert rows[1][2] == "0"
    assert rows[2][1:3] == [str(index - 1), "1"]
    wait_until(
        lambda: any(e.key.endswith("/one") for e in listed(live)), "the status of this node", 30
    )
    store.delete(key)


def listed(live: Site):
    return live.store.list("/vulcand-status").entries


def test_status_shows_keys_that_are_not_in_force(live: Site, vctl: Vctl):
    live.put("frontends/broken/frontend", {"Type": "http", "BackendId": "b", "Route": "Hots(`a`)"})
    wait_until(lambda: "frontends/broken" in vctl("status").out, "the refused key", 30)
    assert "[Refused]" in vctl("status").out
    live.delete("frontends/broken/frontend")


def test_explain_names_the_server_and_why(live: Site, vctl: Vctl, host: str):
    with Origin(respond_text("x")) as origin:
        live.route(origin, host)
        outcome = json.loads(done(vctl("explain", "GET", f"http://{host}/a", "-H", "X: y")))
        assert (outcome["Frontend"], outcome["Server"]) == (host, "s")
        assert outcome["Why"] == "the only available server"
        assert outcome["Index"] > 0
        live.server("t", "http://127.0.0.1:1", host)
        live.settle()
        assert json.loads(vctl("explain", "GET", f"http://{host}/a").out)["Why"].startswith(
            "one of 2, in turn"
        )
    assert vctl("explain", "GET", "http://nowhere.example/").code == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["server", "show", "-b", "none", "-id", "none"], 3),
        (["server", "ls"], 2),
        (["ls", "nonsense"], 2),
        (["host", "upsert", "-name", "x", "-cert", "/nonexistent"], 2),
        (["server", "upsert", "-b", "none", "-id", "s", "-url", "http://h:1"], 3),
        (["frontend", "upsert", "-id", "x", "-b", "b", "-route", "Hots(`a`)"], 1),
    ],
)
def test_a_failed_command_exits_with_its_code_and_the_reason_on_stderr(vctl: Vctl, arguments, code):
    outcome = vctl(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err


def test_without_a_running_vulcand_a_command_exits_with_4(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["backend", "ls", "--vulcan", "http://127.0.0.1:1"])
    assert ended.value.code == 4
    assert capsys.readouterr().err == (
        "vctl: http://127.0.0.1:1 fails: Connection refused: is vulcand running there? "
        "--vulcan names the URL of its API\n"
    )


@pytest.mark.parametrize("url", ["", "127.0.0.1:8182", "http://", "htp://x"])
def test_a_url_that_is_none_is_wrong_use(capsys: pytest.CaptureFixture[str], url: str):
    with pytest.raises(SystemExit) as ended:
        main(["backend", "ls", "--vulcan", url])
    assert ended.value.code == 2
    remedy = "write the URL of vulcand's API, such as http://127.0.0.1:8182"
    assert capsys.readouterr().err == f"vctl: --vulcan is {url!r}: {remedy}\n"


def test_another_server_is_told_from_vulcands_api(live: Site, capsys: pytest.CaptureFixture[str]):
    for url in (live.vulcand.status_url, f"http://127.0.0.1:{live.vulcand.port}"):
        with pytest.raises(SystemExit) as ended:
            main(["backend", "ls", "--vulcan", url])
        assert ended.value.code == 4
        err = capsys.readouterr().err
        assert err.startswith(f"vctl: {url} answers 404 without a document of the API: it is not")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["host", "ls", "-vulcan", "u"], ["--vulcan", "u", "host", "ls"]),
        (["host", "--json", "ls", "--vulcan=u"], ["--json", "--vulcan=u", "host", "ls"]),
        (["ls", "--", "--json"], ["ls", "--", "--json"]),
        (["ls", "--vulcan"], ["--vulcan", "ls"]),
        (["-h"], ["-h"]),
    ],
)
def test_global_options_may_be_given_anywhere(given, wanted):
    assert global_options_first(given) == wanted
