"""HttpStore against faulty networks, mistakes of operators and other servers."""

import base64
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.client import (
    Absent,
    AtIndex,
    BadRequest,
    Entry,
    Event,
    HttpStore,
    KeyNotFound,
    Present,
    Progress,
    StoreError,
    Tls,
    Unauthorized,
    Unavailable,
    WithValue,
    connect,
)
from coordinator.client.http import connection_pool
from coordinator.client.http.v2_store import ATTEMPTS_MAX
from rig.processes import free_port, wait_until
from tests.coordinator.client.certificates import CertificateFiles
from tests.coordinator.client.faulty_network import (
    ETCD,
    EtcdMember,
    FaultyLink,
    ScriptedServer,
    StoreProcess,
)
from tests.coordinator.client.stores_under_test import LARGE, StoreUnderTest

PROMPT_S = 2.0


@pytest.fixture
def runs() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def unused_url() -> str:
    """A URL with no server."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ("", "http://127.0.0.1:2379"),
        ([], "no endpoint"),
        ("127.0.0.1:2379", "127.0.0.1:2379"),
        ("ftp://host", "ftp://host"),
        ("http://", "http://"),
        ("http://host:99999", "host:99999"),
        ("http://[::1", "[::1"),
        ("http://host/?a=b", "host/"),
        ("http://a,,http://b", "''"),
    ],
)
def test_a_bad_endpoint_is_refused_by_name(endpoints: str | list[str], message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        connect(endpoints)
    assert message in str(refused.value)


def test_a_password_is_never_shown() -> None:
    for endpoints in ("user:geheim@host:1", "http://user:geheim@host:99999"):
        with pytest.raises(BadRequest) as refused:
            connect(endpoints)
        assert "geheim" not in str(refused.value)
    with connect(unused_url().replace("//", "//user:geheim@")) as store:
        with pytest.raises(Unavailable) as failed:
            store.get("/a")
        assert "geheim" not in str(failed.value)


def test_nothing_is_asked_before_the_first_call() -> None:
    with ScriptedServer({}) as server:
        connect(server.url)
        connect([server.url, server.url])
        assert server.asked == []


def test_the_error_names_each_endpoint_and_its_reason() -> None:
    refusing, odd = unused_url(), "http://nowhere.invalid:2379"
    with (
        ScriptedServer({"/version": (404, b"not here", {})}) as other,
        HttpStore([refusing, odd, other.url]) as store,
        pytest.raises(Unavailable) as failed,
    ):
        store.get("/a")
    message = str(failed.value)
    assert f"{refusing} fails: Connection refused" in message
    assert odd in message
    assert other.url in message
    assert message.startswith("GET /v2/keys/a")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, b"leaving", {}), "503: leaving"),
        ((500, b'{"errorCode":300,"message":"Raft","cause":"timeout","index":0}', {}), "timeout"),
        ((301, b"", {"Location": "http://elsewhere/"}), "http://elsewhere/"),
        ((404, b"404 page not found", {}), "--enable-v2"),
        ((404, b'{"detail":"Not Found"}', {}), "404"),
        ((200, b"<html>", {"X-Etcd-Index": "1"}), "html"),
        ((200, b'{"node":{"modifiedIndex":"x"}}', {"X-Etcd-Index": "1"}), "modifiedIndex"),
        ((200, b'{"node":' + b'{"nodes":[' * 5000, {"X-Etcd-Index": "1"}), "not of the v2 API"),
    ],
)
def test_an_endpoint_that_cannot_serve_is_skipped(
    v2_served: StoreUnderTest, answer: tuple[int, bytes, dict[str, str]], message: str
) -> None:
    entry = v2_served.store.put(v2_served.key("a"), "1")
    path = f"/v2/keys{v2_served.key('a')}"
    with ScriptedServer({"/version": ETCD, path: answer}) as broken:
        with HttpStore([broken.url, v2_served.url]) as store:
            assert store.get(v2_served.key("a")) == entry
            store.get(v2_served.key("a"))
            assert broken.asked.count(f"GET {path}?quorum=true") == 1, "it is asked only once"
        with HttpStore(broken.url) as store, pytest.raises(Unavailable) as failed:
            store.get(v2_served.key("a"))
        assert message in str(failed.value)
        assert broken.url in str(failed.value)


@pytest.mark.parametrize("version", [b"<html>", b"[]", b'{"server":"other"}', b"\xff"])
def test_a_server_of_another_kind_is_recognized_by_its_version(version: bytes) -> None:
    with (
        ScriptedServer({"/version": (200, version, {})}) as other,
        HttpStore(other.url) as store,
        pytest.raises(Unavailable, match="no coordinator and no etcd") as failed,
    ):
        store.get("/a")
    assert other.url in str(failed.value)


def test_the_error_about_an_etcd_without_the_v2_api_has_a_remedy(
    tmp_path: Path, runs: ExitStack
) -> None:
    member = EtcdMember("m", free_port(), free_port())
    runs.enter_context(member.begin(tmp_path, [member], "t", "--enable-v2=false"))
    with HttpStore(member.url) as store:
        for call in (lambda: store.get("/a"), lambda: store.list("/"), lambda: store.put("/a", "")):
            with pytest.raises(Unavailable) as failed:
                call()
            assert member.url in str(failed.value)
            assert "--enable-v2" in str(failed.value)


def test_a_listing_without_an_index_is_an_error() -> None:
    prepared = {"/version": ETCD, "/v2/keys": (200, b'{"action":"get","node":{"dir":true}}', {})}
    with (
        ScriptedServer(prepared) as server,
        HttpStore(server.url) as store,
        pytest.raises(Unavailable, match="X-Etcd-Index"),
    ):
        store.list("/")


def test_a_conditional_write_is_repeated_if_no_server_saw_it(
    v2_served: StoreUnderTest,
) -> None:
    with HttpStore([unused_url(), v2_served.url]) as store:
        entry = store.put(v2_served.key("a"), "1", when=Absent())
    with HttpStore([unused_url(), v2_served.url]) as store:
        store.delete(v2_served.key("a"), when=AtIndex(entry.modified))


def test_a_conditional_write_is_not_repeated_if_a_server_may_have_seen_it(
    v2_served: StoreUnderTest,
) -> None:
    with FaultyLink(v2_served.url) as link, HttpStore([link.url, v2_served.url]) as store:
        with pytest.raises(KeyNotFound):
            store.get(v2_served.key("count"))
        link.lose_answers()
        with pytest.raises(Unavailable, match="unknown") as failed:
            store.put(v2_served.key("count"), "1", when=Absent())
        assert link.url in str(failed.value)
        # It had its effect; the next call goes to the other endpoint.
        wait_until(lambda: not v2_served.gone(v2_served.key("count")), "the write is there")
        assert store.put(v2_served.key("count"), "2", when=Present()).value == "2"


def test_a_delete_is_not_repeated_if_a_server_may_have_seen_it(v2_served: StoreUnderTest) -> None:
    with FaultyLink(v2_served.url) as link, HttpStore([link.url, v2_served.url]) as store:
        store.put(v2_served.key("a"), "1")
        link.lose_answers()
        with pytest.raises(Unavailable, match="unknown"):
            store.delete(v2_served.key("a"))
        wait_until(lambda: v2_served.gone(v2_served.key("a")), "the delete is done")


def test_an_unconditional_write_is_repeated_at_the_next_endpoint(v2_served: StoreUnderTest) -> None:
    with FaultyLink(v2_served.url) as link, HttpStore([link.url, v2_served.url]) as store:
        store.put(v2_served.key("a"), "1")
        link.lose_answers()
        entry = store.put(v2_served.key("a"), "2")
        assert v2_served.store.get(v2_served.key("a")) == entry


def test_an_endpoint_without_a_connection_has_not_seen_the_write(
    v2_served: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, runs: ExitStack
) -> None:
    monkeypatch.setattr(connection_pool, "CONNECT_S", 0.5)
    full = runs.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = runs.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
    url = f"http://127.0.0.1:{full.getsockname()[1]}"
    with HttpStore([url, v2_served.url]) as store:
        assert store.put(v2_served.key("a"), "1", when=Absent()).value == "1"
    with HttpStore(url) as store, pytest.raises(Unavailable, match="did not accept a connection"):
        store.get("/a")


class StoreWithARival(HttpStore):
    """A store that another client writes to between a read of this one and its next request."""

    times = 0

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        entry = super().get(key, quorum=quorum)
        if self.times:
            self.times -= 1
            self.put(key, entry.value)
        return entry


def test_an_empty_value_is_compared_while_others_write(v2_served: StoreUnderTest) -> None:
    with StoreWithARival(v2_served.url) as store:
        store.put(v2_served.key("a"), "")
        store.times = 3
        assert store.put(v2_served.key("a"), "1", when=WithValue("")).value == "1"
        store.times = ATTEMPTS_MAX
        with pytest.raises(Unavailable, match=v2_served.key("a")):
            store.put(v2_served.key("a"), "", when=Present())
        assert store.times == 0


def test_an_endpoint_that_hangs_costs_one_timeout(
    v2_served: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.client.http.endpoint_pool.ANSWER_S", 1.0)
    entry = v2_served.store.put(v2_served.key("a"), "1")
    with FaultyLink(v2_served.url) as link, HttpStore([link.url, v2_served.url]) as store:
        store.get(v2_served.key("a"))
        link.freeze()
        assert store.get(v2_served.key("a")) == entry
        began_s = time.monotonic()
        assert store.get(v2_served.key("a")) == entry
        assert time.monotonic() - began_s < 1.0


def test_a_store_recovers_when_its_server_does(tmp_path: Path, runs: ExitStack) -> None:
    server_process = StoreProcess("coordinator")
    store = runs.enter_context(HttpStore(server_process.url))
    with server_process.begin(tmp_path):
        entry = store.put("/a", "1")
    with pytest.raises(Unavailable):
        store.get("/a")
    runs.enter_context(server_process.begin(tmp_path))
    assert store.get("/a") == entry


def test_proxy_variables_and_netrc_are_ignored(
    v2_served: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, unused_url())
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with HttpStore(v2_served.url) as store:
        assert store.put(v2_served.key("a"), "1").value == "1"


def test_a_value_too_large_for_the_server_is_a_bad_request(v2_served: StoreUnderTest) -> None:
    with pytest.raises(StoreError) as refused:
        v2_served.store.put(v2_served.key("a"), LARGE * 12)
    assert not isinstance(refused.value, KeyNotFound)
    v2_served.store.put(v2_served.key("a"), "small")


def test_credentials_of_the_url_are_used(tmp_path: Path, runs: ExitStack) -> None:
    server_process = StoreProcess("etcd")
    runs.enter_context(server_process.begin(tmp_path))
    root = "root:pa:ss@wörd"
    send_auth(server_process.url, "users/root", {"user": "root", "password": "pa:ss@wörd"})
    send_auth(server_process.url, "enable")
    guest = {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}
    send_auth(server_process.url, "roles/guest", guest, root)
    with HttpStore(server_process.url.replace("//", "//root:pa%3Ass%40w%C3%B6rd@")) as store:
        assert store.put("/a", "1").value == "1"
    for wrong in (server_process.url, server_process.url.replace("//", "//root:wrong@")):
        with HttpStore(wrong) as store:
            with pytest.raises(Unauthorized):
                store.get("/a")
            with pytest.raises(Unauthorized):
                store.list("/")
            with pytest.raises(Unauthorized), store.watch("/", 0) as watch:
                next(iter(watch))


def send_auth(url: str, path: str, body: object = None, user: str = "") -> None:
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v2/auth/{path}", data=data, method="PUT")
    if user:
        request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()


def test_a_ca_file_is_enough_for_tls(
    certificates: CertificateFiles, tmp_path: Path, runs: ExitStack
) -> None:
    member = EtcdMember("m", free_port(), free_port(), "https")
    runs.enter_context(member.begin(tmp_path, [member], "t", "--enable-v2", *certificates.flags()))
    store = runs.enter_context(HttpStore(member.url, Tls(certificates.path("ca.crt"))))
    after = store.put("/a", "1").modified
    watch = runs.enter_context(store.watch("/", after))
    changes = iter(watch)
    assert next(changes) == Progress(after)
    entry = store.put("/a", "2")
    assert next(changes) == Event(entry.modified, "/a", entry)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: next(changes, None))
        began_s = time.monotonic()
        watch.close()
        assert waiting.result(10) is None
        assert time.monotonic() - began_s < PROMPT_S
    for tls in (Tls(), Tls(certificates.path("stranger.crt"))):
        with HttpStore(member.url, tls) as wary, pytest.raises(Unavailable, match="certificate"):
            wary.get("/a")


def test_a_client_certificate_is_sent_when_required(
    certificates: CertificateFiles, tmp_path: Path, runs: ExitStack
) -> None:
    member = EtcdMember("m", free_port(), free_port(), "https")
    flags = ["--enable-v2", *certificates.flags(), "--client-cert-auth"]
    flags += ["--trusted-ca-file", certificates.path("ca.crt")]
    runs.enter_context(member.begin(tmp_path, [member], "t", *flags))
    known = Tls(
        certificates.path("ca.crt"),
        certificates.path("client.crt"),
        certificates.path("client.key"),
    )
    with HttpStore(member.url, known) as store:
        assert store.put("/a", "1").value == "1"
    stranger = HttpStore(member.url, Tls(certificates.path("ca.crt")))
    with stranger, pytest.raises(Unavailable, match="certificate"):
        stranger.get("/a")


def test_an_unreadable_tls_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"missing\.pem"):
        Tls(str(tmp_path / "missing.pem"))
    with pytest.raises(BadRequest, match="--key-file"):
        Tls(cert_file="client.crt")
