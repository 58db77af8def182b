"""Open connections and watches follow users and roles at once."""

import http.client
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from coordinator.client import HistoryCleared, Unauthorized, connect
from coordinator.client.core.store_protocol import Event
from rig.processes import Coordinator
from tests.coordinator.access.asking import Client

STREAM = "wait=true&recursive=true&stream=true"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Root of a member with roles that are enforced. A guest may do nothing."""
    with Coordinator(tmp_path_factory.mktemp("auth")) as member:
        anybody = Client(member.url)
        anybody.role("guest")
        anybody.user("root", password="rp")
        assert anybody.ask("PUT", "/v2/auth/enable").status == 200
        yield Client(member.url, "root:rp")


def user(root: Client, name: str, read: list[str], write: list[str] | None = None) -> Client:
    """Make a user with a role of its own."""
    root.role(name, read=read, write=write or [])
    assert root.user(name, password="p", roles=[name]).status in {200, 201}
    return Client(root.url, f"{name}:p")


def put(root: Client, *keys: str) -> None:
    for key in keys:
        assert root.ask("PUT", f"/v2/keys{key}", "value=1").status in {200, 201}


def test_a_watch_shows_only_what_may_be_read_live_and_from_the_history(root: Client) -> None:
    client = user(root, "w1", ["/w1/*/mine", "/w1/all/*"])
    start = int(root.ask("PUT", "/v2/keys/w1/a/mine", "value=1").headers["X-Etcd-Index"])
    put(root, "/w1/a/other", "/w1/all/x", "/w1/secret", "/elsewhere")
    for path in ("/w1", "/"):
        watch = client.watch(f"/v2/keys{path}?{STREAM}&waitIndex={start}")
        assert [watch.line()["node"]["key"] for _ in range(2)] == ["/w1/a/mine", "/w1/all/x"]
        put(root, "/w1/b/other", "/w1/secret", "/w1/b/mine")
        assert watch.line()["node"]["key"] == "/w1/b/mine"
        watch.close()
    once = client.watch(f"/v2/keys/w1?wait=true&recursive=true&waitIndex={start + 1}")
    assert once.line()["node"]["key"] == "/w1/all/x"
    once.close()


def test_a_watch_of_what_may_not_be_read_is_refused(root: Client) -> None:
    client = user(root, "w2", ["/w2/a"])
    for path in ("/x", "/w2/a/b", "/w2/b", "/w2x"):
        for options in ("", "&recursive=true", "&stream=true", "&waitIndex=1&recursive=true"):
            assert client.ask("GET", f"/v2/keys{path}?wait=true{options}").status == 401
    assert client.ask("GET", "/v2/keys/w2?wait=true").status == 401


def test_a_removed_directory_is_told_without_its_other_keys(root: Client) -> None:
    client = user(root, "w3", ["/w3/dir/mine"])
    put(root, "/w3/dir/mine", "/w3/dir/other", "/w3/file")
    watch = client.watch(f"/v2/keys/w3?{STREAM}")
    root.ask("DELETE", "/v2/keys/w3/file")
    root.ask("DELETE", "/v2/keys/w3/dir?recursive=true")
    line = watch.line()
    assert (line["action"], line["node"]["key"], "nodes" in line["prevNode"]) == (
        "delete", "/w3/dir", False,
    )  # fmt: skip
    watch.close()


def test_a_slow_watcher_of_hidden_events_holds_up_nobody(root: Client) -> None:
    client = user(root, "w4", ["/w4/mine"])
    start = int(root.ask("PUT", "/v2/keys/w4/mine", "value=1").headers["X-Etcd-Index"])
    for number in range(300):
        put(root, f"/w4/other/{number}")
    put(root, "/w4/mine")
    watch = client.watch(f"/v2/keys/w4?{STREAM}&waitIndex={start + 1}")
    assert watch.line()["node"]["key"] == "/w4/mine"
    watch.close()


def test_open_watches_end_when_their_user_may_read_no_more(root: Client) -> None:
    client = user(root, "r1", ["/r1/*"])
    watch = client.watch(f"/v2/keys/r1?{STREAM}")
    plain = client.watch("/v2/keys/r1/x?wait=true")
    root.role("r1", read=["/elsewhere"])
    assert watch.line() is None
    assert plain.line() is None
    put(root, "/r1/x")
    assert client.ask("GET", "/v2/keys/r1/x").status == 401


def test_a_watch_whose_rights_grow_or_shrink_ends_so_that_its_client_lists_again(
    root: Client,
) -> None:
    client = user(root, "r2", ["/r2/a"])
    for read in (["/r2/a", "/r2/b"], ["/r2/b"]):
        watch = client.watch(f"/v2/keys/r2?{STREAM}")
        root.role("r2", read=read)
        line = watch.line()
        assert (line["errorCode"], watch.line()) == (401, None)
        assert "list the keys again" in line["cause"]


def test_a_change_that_does_not_concern_a_watch_leaves_it_alone(root: Client) -> None:
    client = user(root, "r3", ["/r3/*"])
    watch = client.watch(f"/v2/keys/r3?{STREAM}")
    user(root, "r3b", ["/x"])
    root.role("r3", read=["/r3/*"], write=["/r3/*"])
    root.user("r3", password="q", roles=["r3"], attributes={})
    put(root, "/r3/x")
    line = watch.line()
    # Its password is another one, and a watch with the old one has ended.
    assert line is None or line["node"]["key"] == "/r3/x"
    watch.close()


class Persistent:
    """One connection that stays open."""

    def __init__(self, client: Client) -> None:
        parts = urlsplit(client.url)
        assert parts.hostname is not None
        self._headers = client.headers()
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        """Return a status."""
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        """Close it."""
        self._connection.close()


@pytest.mark.parametrize("how", ["deleted", "role", "role document", "password", "revoked"])
def test_an_open_connection_loses_its_rights_with_the_next_request(root: Client, how: str) -> None:
    name = f"o{how.replace(' ', '')}"
    with closing(Persistent(user(root, name, ["/o"], ["/o"]))) as client:
        put(root, "/o")
        assert client.ask("GET", "/v2/keys/o") == 200
        assert client.ask("PUT", "/v2/keys/o", "value=1") == 200
        weaken(root, name, how)
        assert client.ask("GET", "/v2/keys/o") == 401
        assert client.ask("PUT", "/v2/keys/o", "value=1") == 401
        assert client.ask("GET", "/v2/keys/o?wait=true") == 401


def weaken(root: Client, name: str, how: str) -> None:
    match how:
        case "deleted":
            root.ask("DELETE", f"/v2/auth/users/{name}")
        case "role":
            root.user(name, revoke=[name])
        case "role document":
            root.role(name, read=["/p"])
        case "password":
            root.user(name, password="another")
        case _:
            root.user(name, roles=[], attributes={}, not_before=2_000_000_000)


def test_a_client_is_told_to_list_again_after_its_rights_have_grown(root: Client) -> None:
    client = user(root, "m1", ["/m1/a", "/m1/b/*"])
    put(root, "/m1/a", "/m1/c")
    token = client.ask("POST", "/v2/auth/token", {"ttl_s": 600}).body["token"]
    store = connect(root.url, bearer=token)
    listing = store.list("/m1")
    assert [entry.key for entry in listing.entries] == ["/m1/a"]
    watch = store.watch("/m1", listing.index)
    events = iter(watch)
    put(root, "/m1/a")
    assert next(each for each in events if isinstance(each, Event)).key == "/m1/a"
    root.role("m1", read=["/m1/*"])
    with pytest.raises(HistoryCleared):
        deque(events, maxlen=0)
    assert [entry.key for entry in store.list("/m1").entries] == ["/m1/a", "/m1/c"]
    root.role("m1", read=[])
    with pytest.raises(Unauthorized):
        store.list("/m1")
    watch.close()
    store.close()


def test_a_watch_ends_with_its_token(root: Client) -> None:
    client = user(root, "t1", ["/t1/*"])
    token = client.ask("POST", "/v2/auth/token", {"ttl_s": 1}).body["token"]
    watch = Client(root.url, token=token).watch(f"/v2/keys/t1?{STREAM}")
    assert watch.status == 200
    assert watch.line() is None
    assert Client(root.url, token=token).ask("GET", "/v2/keys/t1/x").status == 401
