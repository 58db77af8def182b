"""What is special about etcd's v3 API: users, leases, pages, foreign keys, and its detection."""

import base64
import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.client import (
    BadRequest,
    Entry,
    EtcdStore,
    Event,
    KeyNotFound,
    Mirror,
    NotAFile,
    Present,
    Progress,
    ServerKind,
    Tls,
    Unauthorized,
    Unavailable,
    connect,
)
from coordinator.client.core.errors import StoreError
from coordinator.client.core.v3_responses import RangeResponse
from coordinator.client.v3 import v3_paging, v3_watch
from rig.processes import Coordinator, Etcd, Etcd3, free_port, wait_until
from tests.coordinator.client.certificates import CertificateFiles
from tests.coordinator.client.faulty_network import EtcdMember, ScriptedServer
from tests.coordinator.client.stores_under_test import MirrorReceiver, compact, events, fill
from tests.coordinator.client.three_members import etcd_cluster


@pytest.fixture
def runs() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ask(url: str, path: str, body: object, token: str = "") -> dict[str, object]:
    """Send a request of the v3 API as another client would."""
    headers = {"Authorization": token} if token else {}
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def put_foreign(url: str, key: str | bytes, value: str | bytes, lease: int = 0) -> None:
    ask(url, "/v3/kv/put", {"key": b64(key), "value": b64(value), "lease": lease})


def unused_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_the_kind_of_a_server_is_detected(
    etcd: Etcd, etcd_url: str, coordinator_url: str, runs
) -> None:
    kinds = {etcd.url: ServerKind.ETCD, coordinator_url: ServerKind.COORDINATOR}
    kinds |= {f"v3+{etcd_url}": ServerKind.ETCD3, f"v2+{etcd_url}": ServerKind.ETCD}
    for url, kind in kinds.items():
        assert runs.enter_context(connect(url)).kind() is kind


def test_an_etcd_without_the_v2_api_is_used_by_the_v3_api(etcd3: Etcd3) -> None:
    with connect([unused_url(), etcd3.url]) as store:
        assert store.kind() is ServerKind.ETCD3
        assert store.put("/a", "1") == store.get("/a")


def test_endpoints_of_different_kinds_are_refused(etcd3: Etcd3, coordinator_url: str) -> None:
    away = unused_url()
    with (
        connect([coordinator_url, etcd3.url, away]) as store,
        pytest.raises(BadRequest) as refused,
    ):
        store.get("/a")
    message = str(refused.value)
    assert f"{coordinator_url} is a coordinator" in message
    assert f"{etcd3.url} is an etcd with the v3 API" in message
    assert f"{away} fails: Connection refused" in message


def test_the_error_of_unreachable_endpoints_names_each_one() -> None:
    urls = [unused_url(), unused_url()]
    with connect(urls) as store, pytest.raises(Unavailable) as failed:
        store.get("/a")
    assert all(f"{url} fails: Connection refused" in str(failed.value) for url in urls)


def test_an_endpoint_of_another_kind_that_appears_later_is_refused(
    etcd3: Etcd3, tmp_path: Path, runs: ExitStack
) -> None:
    port = free_port()
    late = f"http://127.0.0.1:{port}"
    store = runs.enter_context(connect([etcd3.url, late]))
    store.put("/a", "1")
    runs.enter_context(Coordinator(tmp_path, port=port))
    etcd3.stop()
    with pytest.raises(StoreError) as refused:
        store.get("/a")
    assert f"{late} is a coordinator" in str(refused.value)


def test_a_refresh_with_the_same_ttl_is_no_write(etcd3: Etcd3) -> None:
    with connect(etcd3.url) as store:
        entry = store.put("/a", "1", ttl_s=3)
        for _ in range(4):
            began_s = time.monotonic()
            wait_until(lambda began_s=began_s: time.monotonic() > began_s + 1, "a second")
            store.refresh("/a", 3)
        now = store.get("/a")
        assert (now.value, now.modified) == ("1", entry.modified)
        assert now.expires_at is not None
        assert entry.expires_at is not None
        assert now.expires_at > entry.expires_at + 2
        wait_until(lambda: not store.list("/a").entries, "it ends when nobody refreshes it")


def test_leases_of_deleted_keys_are_revoked(etcd3: Etcd3) -> None:
    with connect(etcd3.url) as store:
        for _ in range(3):
            store.put("/a", "1", ttl_s=600)
        with pytest.raises(KeyNotFound):
            store.put("/missing/x", "1", ttl_s=600, when=Present())
        store.refresh("/a", 900)
        found = ask(etcd3.url, "/v3/lease/leases", {})["leases"]
        assert len(found) == 1
        store.delete("/a")
        assert "leases" not in ask(etcd3.url, "/v3/lease/leases", {})


def test_foreign_leases_show_their_expiry_and_are_never_revoked(etcd3: Etcd3) -> None:
    lease = int(str(ask(etcd3.url, "/v3/lease/grant", {"TTL": 100})["ID"]))
    with connect(etcd3.url) as store:
        after = store.list("/").index
        for key in ("/a", "/b"):
            put_foreign(etcd3.url, key, "1", lease)
        due_s = pytest.approx(time.time() + 100, abs=3)
        listed = store.list("/").entries
        assert [entry.expires_at for entry in listed] == [due_s, due_s]
        assert store.get("/a").expires_at == due_s
        with store.watch("/", after) as watch:
            assert [each.entry.expires_at for each in events(watch, 2)] == [due_s, due_s]
        store.refresh("/a", 100)
        store.put("/b", "2")
        assert store.list("/a").entries[0].expires_at == due_s
        assert int(str(ask(etcd3.url, "/v3/lease/timetolive", {"ID": lease})["TTL"])) > 90


def test_keys_that_are_not_paths_and_values_that_are_not_text_are_left_out(etcd3: Etcd3) -> None:
    for key in ("no-slash", "/a//b", "/dir/", "/./x", b"/bad\xff"):
        put_foreign(etcd3.url, key, "1")
    with connect(etcd3.url) as store:
        entry = store.put("/good", "1")
        assert store.list("/").entries == (entry,)
        with pytest.raises(NotAFile):
            store.put("/dir", "an explicit mark makes a directory")
        put_foreign(etcd3.url, "/good", b"\xff")
        assert store.list("/").entries == ()
        with pytest.raises(BadRequest, match="UTF-8"):
            store.get("/good")
        with store.watch("/", entry.modified) as watch:
            assert events(watch, 1) == [Event(entry.modified + 1, "/good", None)]
        assert store.put("/good", "again").value == "again"


def test_the_events_of_a_foreign_transaction_are_marked_as_more(etcd3: Etcd3) -> None:
    steps = [{"requestPut": {"key": b64(f"/app/{n}"), "value": b64("v")}} for n in range(100)]
    receiver = MirrorReceiver()
    with connect(etcd3.url) as store:
        mirror = Mirror(store, "/app", receiver)
        mirror.start()
        wait_until(lambda: receiver.changes, "the reset has come")
        ask(etcd3.url, "/v3/kv/txn", {"success": steps})
        receiver.wait_for({f"/app/{n}": "v" for n in range(100)})
        mirror.stop()
    assert [len(changes.entries) for changes in receiver.changes] == [0, 100]


def test_all_pages_of_a_listing_have_one_revision(
    etcd3: Etcd3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v3_paging, "FIRST_PAGE_KEYS", 7)
    monkeypatch.setattr(v3_paging, "PAGE_KEYS_MAX", 5)
    with connect(etcd3.url) as store, ThreadPoolExecutor(1) as threads:
        for number in range(60):
            store.put(f"/app/{number:02}", "0")

        def write() -> None:
            for number in range(300):
                store.put(f"/app/{number % 60:02}", str(number))

        writing = threads.submit(write)
        while not writing.done():
            listing = store.list("/app")
            assert len(listing.entries) == 60
            assert max(entry.modified for entry in listing.entries) <= listing.index
            assert {e.modified for e in listing.entries} >= {listing.index} or writing.done()
        writing.result()


def test_a_listing_starts_again_after_a_compaction(
    etcd3: Etcd3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v3_paging, "FIRST_PAGE_KEYS", 2)
    compacted: list[int] = []
    limit = v3_paging.next_limit

    def compact_once(page: RangeResponse) -> int:
        if not compacted:
            store.put("/app/0", "later")
            compacted.append(store.put("/app/1", "later").modified)
            compact(etcd3.url, compacted[0])
        return limit(page)

    with connect(etcd3.url) as store:
        for number in range(5):
            store.put(f"/app/{number}", "0")
        monkeypatch.setattr(v3_paging, "next_limit", compact_once)
        listing = store.list("/app")
    assert compacted == [listing.index]
    assert [e.value for e in listing.entries] == ["later", "later", "0", "0", "0"]


def test_an_idle_watch_is_reopened_and_loses_nothing(
    etcd3: Etcd3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v3_watch, "SILENCE_S", 0.5)
    with connect(etcd3.url) as store, ThreadPoolExecutor(1) as threads:
        after = store.put("/app/a", "0").modified
        with store.watch("/app", after) as watch:
            changes = iter(watch)
            assert [next(changes) for _ in range(3)] == [Progress(after)] * 3
            written = threads.submit(store.put, "/app/a", "1").result()
            assert next(each for each in changes if isinstance(each, Event)).entry == written


def test_a_member_without_a_leader_ends_its_watches(tmp_path: Path) -> None:
    with etcd_cluster(tmp_path, "v3+") as cluster:
        alone = cluster.endpoints.split(",")[2]
        with connect(alone) as store:
            after = store.put("/app/a", "1").modified
            with store.watch("/app", after) as watch:
                changes = iter(watch)
                assert next(changes) == Progress(after)
                cluster.kill(0)
                cluster.kill(1)
                with pytest.raises(Unavailable, match=r"ended the watch|leader"):
                    next(changes)


def test_a_compaction_does_not_disturb_a_watch_that_keeps_up(etcd3: Etcd3) -> None:
    with connect(etcd3.url) as store, ThreadPoolExecutor(1) as threads:
        after = store.put("/app/a", "0").modified

        def write() -> list[Entry]:
            written = []
            for number in range(300):
                written.append(store.put("/app/a", str(number)))
                if number % 50 == 49:
                    compact(etcd3.url, written[-1].modified)
            return written

        with store.watch("/app", after) as watch:
            changes = iter(watch)
            assert next(changes) == Progress(after)
            writing = threads.submit(write)
            found = list(itertools.islice((e for e in changes if isinstance(e, Event)), 300))
    assert [event.entry for event in found] == writing.result()


def test_a_fragmented_delete_is_delivered_at_once(etcd3: Etcd3) -> None:
    names = [f"/app/{'long' * 20}/{number:05}" for number in range(20_000)]
    fill(f"v3+{etcd3.url}", names)
    receiver = MirrorReceiver()
    with connect(etcd3.url) as store:
        mirror = Mirror(store, "/app", receiver)
        mirror.start()
        wait_until(lambda: len(receiver.view.entries) == len(names), "all keys are here")
        store.delete("/app", recursive=True)
        wait_until(lambda: not receiver.view.entries, "all keys are gone")
        mirror.stop()
    assert [len(changes.removed) for changes in receiver.changes] == [0, len(names)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}\n',
        b'{"error":{"code":14,"message":"etcdserver: no leader"}}\n',
        b'{"result":{"created":true,"canceled":true,"cancel_reason":"etcdserver: no leader"}}\n',
        b"<html>\n",
        b"",
    ],
)
def test_a_member_that_cannot_serve_a_watch_is_skipped(etcd3: Etcd3, line: bytes) -> None:
    with (
        ScriptedServer({"/v3/watch": (200, line, {})}) as broken,
        connect([f"v3+{broken.url}", f"v3+{etcd3.url}"]) as store,
    ):
        with pytest.raises(Unavailable, match=broken.url), store.watch("/", 0) as watch:
            next(iter(watch))
        with store.watch("/", 0) as watch:
            assert next(iter(watch)) == Progress(0)


def enable_auth(url: str) -> str:
    """Create root and a user who may use only /app; return root's token."""
    ask(url, "/v3/auth/user/add", {"name": "root", "password": "pa:ss@wörd"})
    ask(url, "/v3/auth/user/grant", {"user": "root", "role": "root"})
    ask(url, "/v3/auth/user/add", {"name": "app", "password": "secret"})
    ask(url, "/v3/auth/role/add", {"name": "app"})
    whole = {"permType": 2, "key": b64("/app"), "range_end": b64("/app0")}
    ask(url, "/v3/auth/role/grant", {"name": "app", "perm": whole})
    ask(url, "/v3/auth/user/grant", {"user": "app", "role": "app"})
    ask(url, "/v3/auth/enable", {})
    login = {"name": "root", "password": "pa:ss@wörd"}
    return str(ask(url, "/v3/auth/authenticate", login)["token"])


def test_a_mirror_survives_stale_tokens_after_a_restart(tmp_path: Path, runs: ExitStack) -> None:
    member = EtcdMember("m", free_port(), free_port())
    first = runs.enter_context(member.begin(tmp_path, [member], "t", "--enable-v2=false"))
    enable_auth(member.url)
    store = runs.enter_context(connect(with_user(member.url, "app:secret")))
    store.put("/app/a", "1")
    receiver = MirrorReceiver()
    mirror = Mirror(store, "/app", receiver)
    mirror.start()
    receiver.wait_for({"/app/a": "1"})
    first.kill()
    wait_until(lambda: not mirror.status().connected, "the mirror knows of the loss")
    runs.enter_context(member.begin(tmp_path, [member], "t", "--enable-v2=false"))
    wait_until(lambda: mirror.status().connected, "the mirror is back")
    store.put("/app/a", "2")
    receiver.wait_for({"/app/a": "2"})
    mirror.stop()


def with_user(url: str, user: str) -> str:
    return url.replace("//", f"//{user}@")


def test_tokens_are_obtained_used_and_renewed(tmp_path: Path, runs: ExitStack) -> None:
    member = EtcdMember("m", free_port(), free_port())
    runs.enter_context(member.begin(tmp_path, [member], "t", "--enable-v2=false"))
    early = runs.enter_context(connect(with_user(member.url, "app:secret")))
    assert early.put("/app/a", "0").value == "0", "while users are not asked for"
    root = enable_auth(member.url)
    store = runs.enter_context(connect(with_user(member.url, "app:secret")))
    entry = store.put("/app/a", "1", ttl_s=60)
    assert store.list("/app").entries == (entry,)
    # A changed password makes the tokens of its user void, as their age does.
    again = {"name": "app", "password": "secret"}
    ask(member.url, "/v3/auth/user/changepw", again, root)
    assert store.get("/app/a").value == "1"
    ask(member.url, "/v3/auth/user/changepw", again, root)
    receiver = MirrorReceiver()
    mirror = Mirror(store, "/app", receiver)
    mirror.start()
    receiver.wait_for({"/app/a": "1"})
    store.put("/app/a", "2")
    receiver.wait_for({"/app/a": "2"})
    mirror.stop()
    ask(member.url, "/v3/auth/user/changepw", again, root)
    with store.watch("/app", entry.modified) as watch:
        assert [e.entry for e in events(watch, 1)] == [store.get("/app/a")]
    for call in (lambda: store.put("/other", "1"), lambda: store.list("/")):
        with pytest.raises(Unauthorized):
            call()
    with pytest.raises(Unauthorized), store.watch("/other", 1) as watch:
        events(watch, 1)
    for wrong in (member.url, with_user(member.url, "app:wrong")):
        with connect(wrong) as other, pytest.raises(Unauthorized) as denied:
            other.get("/app/a")
        assert "secret" not in str(denied.value)


def test_both_sides_verify_certificates(
    certificates: CertificateFiles, tmp_path: Path, runs: ExitStack
) -> None:
    member = EtcdMember("m", free_port(), free_port(), "https")
    flags = ["--enable-v2=false", *certificates.flags(), "--client-cert-auth"]
    flags += ["--trusted-ca-file", certificates.path("ca.crt")]
    runs.enter_context(member.begin(tmp_path, [member], "t", *flags))
    known = Tls(
        certificates.path("ca.crt"),
        certificates.path("client.crt"),
        certificates.path("client.key"),
    )
    store = runs.enter_context(connect(member.url, tls=known))
    assert store.kind() is ServerKind.ETCD3
    entry = store.put("/a", "1")
    with store.watch("/", entry.modified - 1) as watch:
        assert events(watch, 1) == [Event(entry.modified, "/a", entry)]
    stranger = connect(member.url, tls=Tls(certificates.path("ca.crt")))
    with stranger, pytest.raises(Unavailable, match="certificate"):
        stranger.get("/a")


def test_the_error_names_a_server_without_the_gateway(coordinator_url: str) -> None:
    with EtcdStore(coordinator_url) as store, pytest.raises(Unavailable, match="v3 API"):
        store.get("/a")
