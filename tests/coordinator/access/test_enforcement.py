"""What goes beyond etcd: filtered listings and watches, own entries, capabilities, `/_security`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.core.auth.explanation import OPERATIONS
from coordinator.core.v2api import routes
from rig.processes import Coordinator
from tests.coordinator.access.asking import Client

MACHINE = "3" * 32
ATTRIBUTES = {"host": "web3", "machine": MACHINE, "machine8": MACHINE[:8]}
SEMAPHORE = {"semaphore": 1, "max": 2, "holders": ["4" * 32]}
TAKEN = {"semaphore": 0, "max": 2, "holders": [MACHINE, "4" * 32]}
KEYS = {
    "/fleet/hosts/web3/status": "up",
    "/fleet/hosts/web4/status": "up",
    "/fleet/jobs/app": "unit",
    "/skydns/com/x": "1",
    "/skydns/com/y": "2",
    "/_hidden/deep": "1",
    "/secret": "s",
    "/blind": "was",
    "/lock/semaphore": json.dumps(SEMAPHORE),
    "/lock/other": "text",
}


class Clients:
    """The clients of one member."""

    def __init__(self, url: str) -> None:
        self.stranger = Client(url)
        self.root = Client(url, "root:rp")
        self.host = Client(url, "web3:hp")
        self.narrow = Client(url, "narrow:np")
        self.ops = Client(url, "ops:op")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """A member whose roles are enforced. A guest may do nothing."""
    with Coordinator(tmp_path_factory.mktemp("auth")) as member:
        anybody = Client(member.url)
        for key, value in KEYS.items():
            anybody.ask("PUT", f"/v2/keys{key}", f"value={value}")
        anybody.role(
            "host",
            read=["/fleet/hosts/{host}/*", "/skydns/*", "/lock/*"],
            write=["/fleet/hosts/{host}/status", "/blind", "/own/{machine}", "/q/*"],
            own=[{"pattern": "/lock/*", "list": "holders", "counter": "semaphore"}],
        )
        anybody.role("narrow", read=["/skydns/com/x"], cluster=[])
        anybody.role("ops", read=["*"], write=["*"], cluster=["members", "metrics", "discovery"])
        anybody.role("guest")
        anybody.user("root", password="rp")
        anybody.user("web3", password="hp", roles=["host"], attributes=ATTRIBUTES)
        anybody.user("narrow", password="np", roles=["narrow", "absent"])
        anybody.user("ops", password="op", roles=["ops"])
        assert anybody.ask("PUT", "/v2/auth/enable").status == 200
        yield Clients(member.url)


def keys_in(node: dict[str, Any]) -> list[str]:
    """Return the keys of a listing, a directory with a slash behind it."""
    found = [node["key"] + "/" * ("dir" in node)] if "key" in node else []
    for child in node.get("nodes", []):
        found += keys_in(child)
    return found


def listing(client: Client, path: str) -> list[str] | int:
    answer = client.ask("GET", f"/v2/keys{path}")
    return keys_in(answer.body["node"]) if answer.status == 200 else answer.status


# A listing.


def test_a_listing_leaves_out_what_may_not_be_read(clients: Clients) -> None:
    assert listing(clients.host, "/?recursive=true&sorted=true") == [
        "/fleet/", "/fleet/hosts/", "/fleet/hosts/web3/", "/fleet/hosts/web3/status",
        "/lock/", "/lock/other", "/lock/semaphore",
        "/skydns/", "/skydns/com/", "/skydns/com/x", "/skydns/com/y",
    ]  # fmt: skip
    assert listing(clients.host, "/fleet/hosts") == ["/fleet/hosts/", "/fleet/hosts/web3/"]
    assert listing(clients.narrow, "/skydns?recursive=true") == [
        "/skydns/", "/skydns/com/", "/skydns/com/x",
    ]  # fmt: skip
    assert listing(clients.narrow, "/skydns/com/x") == ["/skydns/com/x"]


@pytest.mark.parametrize(
    "path", ["/fleet/jobs", "/secret", "/fleet/hosts/web4", "/none", "/_hidden"]
)
@pytest.mark.parametrize("options", ["", "?recursive=true", "?quorum=true", "?hidden=true"])
def test_a_directory_of_which_nothing_may_be_read_is_refused(
    clients: Clients, path: str, options: str
) -> None:
    """An empty listing would say that nothing is there, and a mirror would believe it."""
    assert listing(clients.host, path + options) == 401
    assert listing(clients.stranger, path + options) == 401


def test_a_directory_on_the_way_is_absent_if_it_is(clients: Clients) -> None:
    path = "/fleet/hosts/web3/inbox/deeper"
    assert listing(clients.host, path) == 404
    assert listing(clients.narrow, path) == 401


def test_a_long_listing_is_filtered_too(clients: Clients) -> None:
    for number in range(300):
        clients.root.ask("PUT", f"/v2/keys/long/{number}", "value=" + "x" * 8000)
    clients.root.role("long", read=["/long/1*", "/long/{user}"], cluster=[])
    clients.root.user("7", password="p", roles=["long"])
    expected = ["/long/", *sorted(f"/long/{n}" for n in range(300) if str(n)[0] == "1" or n == 7)]
    assert listing(Client(clients.root.url, "7:p"), "/long?recursive=true&sorted=true") == expected


# /_security.


@pytest.mark.parametrize("path", ["/_security", "/_security/v1/users/root", "/_security/none"])
def test_nobody_reads_or_writes_the_documents_of_auth(clients: Clients, path: str) -> None:
    for options in ("", "?recursive=true", "?hidden=true&recursive=true", "?quorum=true"):
        answer = clients.root.ask("GET", f"/v2/keys{path}{options}")
        assert (answer.status, answer.body["cause"]) == (404, "/_security")
    for method, options in (
        ("PUT", ""), ("PUT", "?dir=true"), ("PUT", "?prevExist=false"),
        ("PUT", "?refresh=true&ttl=1"),
        ("POST", ""), ("DELETE", "?recursive=true"), ("DELETE", "?dir=true"),
    ):  # fmt: skip
        answer = clients.root.ask(method, f"/v2/keys{path}{options}", "value=x")
        assert (answer.status, answer.body["message"]) == (403, "Forbidden")


def test_listings_watches_and_history_do_not_show_them(clients: Clients) -> None:
    shown = listing(clients.root, "/?recursive=true&hidden=true")
    assert isinstance(shown, list)
    assert "/_hidden/deep" in shown
    assert not [key for key in shown if "_security" in key]
    watch = clients.root.watch(
        "/v2/keys/?wait=true&recursive=true&hidden=true&stream=true&waitIndex=1"
    )
    beginning = len(KEYS)
    seen = [watch.line()["node"]["key"] for _ in range(beginning)]
    assert seen == list(KEYS)
    clients.root.user("carol", password="x")
    clients.root.ask("PUT", "/v2/keys/zz", "value=1")
    while (line := watch.line())["node"]["key"] != "/zz":
        assert "_security" not in line["node"]["key"]
    watch.close()


def test_a_way_around_by_escapes_or_dots_is_none(clients: Clients) -> None:
    for path in ("/%5fsecurity", "/%5Fsecurity/v1", "/_security/", "/_securit%79/v1/users/root"):
        assert clients.root.ask("GET", f"/v2/keys{path}").status in {301, 404}
        assert clients.root.ask("PUT", f"/v2/keys{path}", "value=x").status in {301, 403}
    for path in ("/x/../_security/v1", "//_security", "/./_security"):
        assert clients.root.ask("PUT", f"/v2/keys{path}", "value=x").status == 301
    assert clients.root.ask("PUT", "/v2/keys/_security2", "value=x").status == 201


# Writes.


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/fleet/hosts/web3/status", "value=up", 200),
        ("PUT", "/fleet/hosts/web3/status?ttl=90", "value=up", 200),
        ("PUT", "/fleet/hosts/web3/status?prevExist=true&refresh=true&ttl=90", None, 200),
        ("PUT", "/fleet/hosts/web4/status", "value=up", 401),
        ("PUT", "/fleet/hosts/web3/facts", "value=up", 401),
        ("PUT", "/fleet/hosts/web3", "dir=true", 401),
        ("DELETE", "/fleet/hosts/web3?recursive=true", None, 401),
        ("DELETE", "/fleet?recursive=true", None, 401),
        ("DELETE", "/?recursive=true", None, 401),
        ("PUT", f"/own/{MACHINE}", "value=1", 201),
        ("PUT", f"/own/{MACHINE}0", "value=1", 401),
        ("PUT", f"/own/{'4' * 32}", "value=1", 401),
        ("POST", "/q", "value=1", 201),
        ("POST", "/fleet/jobs", "value=1", 401),
        ("POST", "/", "value=1", 401),
        ("PUT", "/skydns/com/x", "value=1", 401),
        ("PUT", "/skydns/com/x?prevValue=1", "value=1", 401),
        ("PUT", "/q/a%2Fb", "value=1", 201),
        ("PUT", "/q/..%2Fsecret", "value=1", 301),
    ],
)
def test_a_host_writes_only_its_own_keys(
    clients: Clients, method: str, path: str, body: str | None, status: int
) -> None:
    assert clients.host.ask(method, f"/v2/keys{path}", body).status == status
    assert clients.stranger.ask(method, f"/v2/keys{path}", body).status in {401, 301}


def test_a_time_to_live_cannot_remove_the_keys_of_others(clients: Clients) -> None:
    """With a directory all that is below it expires."""
    root = clients.root
    root.ask("PUT", "/v2/keys/shared/of-others", "value=1")
    root.role("shared", read=["/shared*"], write=["/shared", "/new", "/all*"])
    root.user("dave", password="p", roles=["shared"])
    dave = Client(root.url, "dave:p")
    assert dave.ask("PUT", "/v2/keys/shared?prevExist=true&ttl=1&dir=true").status == 401
    assert dave.ask("PUT", "/v2/keys/shared?prevExist=true&ttl=1").status == 401
    assert dave.ask("PUT", "/v2/keys/new?dir=true&ttl=1").status == 401
    assert dave.ask("DELETE", "/v2/keys/shared?recursive=true").status == 401
    assert dave.ask("PUT", "/v2/keys/all?dir=true&ttl=100").status == 201
    assert dave.ask("DELETE", "/v2/keys/all?recursive=true").status == 200


def test_who_may_write_but_not_read_does_not_learn_the_value(clients: Clients) -> None:
    wrong = clients.host.ask("PUT", "/v2/keys/blind?prevValue=guess", "value=x")
    assert (wrong.status, wrong.body["errorCode"], "cause" in wrong.body) == (412, 101, False)
    done = clients.host.ask("PUT", "/v2/keys/blind", "value=new")
    assert done.body["node"]["value"] == "new"
    assert "prevNode" not in done.body
    gone = clients.host.ask("DELETE", "/v2/keys/blind")
    assert gone.status == 200
    assert "prevNode" not in gone.body
    readable = clients.ops.ask("PUT", "/v2/keys/secret", "value=t")
    assert readable.body["prevNode"]["value"] == "s"


def test_a_host_takes_and_frees_only_its_own_slot(clients: Clients) -> None:
    key = "/v2/keys/lock/semaphore"
    before, taken = json.dumps(SEMAPHORE), json.dumps(TAKEN)
    stolen = json.dumps({"semaphore": 1, "max": 2, "holders": [MACHINE]})
    host = clients.host
    index = host.ask("GET", key).body["node"]["modifiedIndex"]
    for options, value in (
        ("", taken),
        ("?prevExist=true", taken),
        (f"?prevIndex={index}", stolen),
        (f"?prevIndex={index}", "junk"),
        (f"?prevIndex={index}&ttl=5", taken),
        (f"?prevIndex={index - 1}", taken),
    ):
        answer = host.ask("PUT", key + options, f"value={value}")
        assert answer.status == 401, (options, value)
    assert "its own entry" in answer.body["cause"]
    assert host.ask("DELETE", f"{key}?prevIndex={index}").status == 401
    assert host.ask("PUT", f"{key}?prevIndex={index}", f"value={taken}").status == 200
    again = host.ask("PUT", f"{key}?prevIndex={index}", f"value={taken}")
    assert again.status in {401, 412}  # it has changed since
    index = host.ask("GET", key).body["node"]["modifiedIndex"]
    assert host.ask("PUT", f"{key}?prevIndex={index}", f"value={before}").status == 200
    new = json.dumps({"semaphore": 0, "max": 1, "holders": [MACHINE]})
    assert host.ask("PUT", "/v2/keys/lock/group?prevExist=false", f"value={new}").status == 201
    assert host.ask("PUT", "/v2/keys/lock/other", "value=x").status == 401


# What is no key.

WORDS = {"KEY": "a/b", "DIRECTORY": "a", "ID": "8e9e", "TOKEN": "0123456789abcdef" * 2, "NAME": "x"}
# What a stranger may ask: etcd says it, too.
OPEN = {("GET", "/v2/auth/enable")}


def test_a_stranger_gets_nothing_from_any_route(clients: Clients) -> None:
    for route in routes.CLIENT:
        path = "/".join(WORDS.get(part, part) for part in route.path.split("/"))
        for method in route.methods.split():
            answer = clients.stranger.ask(method, path, "" if method in {"PUT", "POST"} else None)
            if (method, path) in OPEN:
                assert answer.status == 200
                continue
            assert answer.status == 401, (method, path)
            if method != "HEAD":
                told = answer.body.get("cause") or answer.body.get("message")
                assert told == "Insufficient credentials"
    for method, path in (
        ("GET", "/"),
        ("OPTIONS", "/v2/keys/a"),
        ("GET", "/none"),
        ("PUT", "/health"),
    ):
        assert clients.stranger.ask(method, path).status == 401


def test_a_capability_is_no_other(clients: Clients) -> None:
    expected = {
        ("GET", "/metrics"): 200,
        ("GET", "/health"): 401,
        ("GET", "/version"): 401,
        ("GET", "/v2/members"): 401,
        ("GET", "/v2/stats/self"): 401,
        ("POST", "/v2/members"): 415,
        ("POST", "/v2/members/leader"): 503,
        ("GET", "/v2/backup"): 401,
        ("GET", "/v2/auth/users"): 401,
        ("GET", "/v2/auth/audit"): 401,
        ("PUT", "/new"): 200,
    }
    found = {asked: clients.ops.ask(*asked).status for asked in expected}
    assert found == expected
    # A role of etcd says nothing of the cluster, and sees its facts.
    assert clients.host.ask("GET", "/version").status == 200
    assert clients.host.ask("GET", "/metrics").status == 401
    assert clients.host.ask("POST", "/v2/members/leader").status == 401
    assert clients.narrow.ask("GET", "/version").status == 401


def test_who_may_discover_uses_tokens_without_rights_on_their_keys(clients: Clients) -> None:
    clients.root.role("finder", cluster=["discovery"])
    clients.root.user("finder", password="p", roles=["finder"])
    finder = Client(clients.root.url, "finder:p")
    token = finder.ask("PUT", "/new?size=1").body.rsplit("/", 1)[1]
    assert finder.ask("PUT", f"/{token}/m1", "value=http://m1").status == 201
    assert finder.ask("GET", f"/{token}?recursive=true").status == 200
    assert finder.ask("GET", f"/{token}/_config/size?quorum=true").body["node"]["value"] == "1"
    assert finder.ask("GET", f"/v2/keys/_etcd/registry/{token}").status == 401
    assert clients.host.ask("GET", f"/{token}").status == 401


def test_only_a_backup_with_its_capability_shows_users(clients: Clients) -> None:
    clients.root.role("saver", cluster=["backup"])
    clients.root.user("saver", password="p", roles=["saver"])
    answer = clients.ops.ask("GET", "/v2/backup")
    assert (answer.status, "scrypt" in str(answer.body)) == (401, False)


# Why.


def test_why_says_which_pattern_permits_and_what_is_missing(clients: Clients) -> None:
    def why(client: Client, query: str) -> Any:
        return client.ask("GET", f"/v2/auth/why?{query}").body

    yes = why(clients.root, "user=web3&op=write&key=/fleet/hosts/web3/status")
    assert (yes["allowed"], yes["why"]) == (True, "the pattern /fleet/hosts/{host}/status")
    no = why(clients.root, "user=web3&op=write&key=/fleet/jobs/app")
    assert (no["allowed"], no["why"]) == (False, "no role permits to write /fleet/jobs/app")
    assert why(clients.root, "user=narrow&op=read&key=/x")["missing_roles"] == ["absent"]
    assert "there is no user zed" in why(clients.root, "user=zed&op=read&key=/x")["note"]
    assert why(clients.root, "user=root&op=backup")["why"] == "root may do everything"
    own = why(clients.root, "user=web3&op=write&key=/lock/semaphore")
    assert (own["allowed"], own["own"]) == (False, ["/lock/*"])
    assert why(clients.host, "op=list&key=/")["why"].startswith("some keys below it")
    for operation in OPERATIONS:
        assert why(clients.root, f"user=web3&op={operation}&key=/q")["op"] == operation


def test_why_is_told_only_about_oneself(clients: Clients) -> None:
    assert clients.host.ask("GET", "/v2/auth/why?user=web3&op=read&key=/x").status == 200
    assert clients.host.ask("GET", "/v2/auth/why?user=root&op=read&key=/x").status == 401
    assert clients.stranger.ask("GET", "/v2/auth/why?user=guest&op=read&key=/x").status == 401
    assert clients.stranger.ask("GET", "/v2/auth/why?op=read&key=/x").status == 401
    for query in ("op=fly&key=/x", "op=read&key=x", "op=read"):
        assert clients.host.ask("GET", f"/v2/auth/why?{query}").status == 400
    assert (
        clients.host.ask("GET", "/v2/auth/why?" + "&".join(f"a{n}=1" for n in range(30))).status
        == 400
    )


# Bad documents.

NO_LIST = {"pattern": "/x", "list": ""}


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("roles/r", {"role": "r", "permissions": {"kv": {"read": ["/{host"]}}}, "brace"),
        ("roles/r", {"role": "r", "permissions": {"kv": {"read": ["/{host}*"]}}}, "other names"),
        ("roles/r", {"role": "r", "permissions": {"kv": {}, "cluster": ["fly"]}}, "capability"),
        ("roles/r", {"role": "r", "permissions": {"kv": {"read": ["/x"] * 1001}}}, "at most 1000"),
        ("roles/r", {"role": "r", "permissions": {"kv": {"own": [NO_LIST]}}}, "list"),
        ("users/u", {"user": "u", "password": "p", "attributes": {"Host": "x"}}, "names are"),
        ("users/u", {"user": "u", "password": "p", "attributes": {"host": "a/b"}}, "letters"),
        ("users/u", {"user": "u", "password": "p", "attributes": {"user": "root"}}, "attribute"),
        ("users/u", {"user": "u", "password": "p", "roles": ["x"] * 101}, "at most 100"),
        ("users/a%20b", {"user": "a b", "password": "p"}, "is no name"),
        ("users/u", '{"user":' * 5000, "Invalid JSON"),
    ],
)  # fmt: skip
def test_a_bad_document_is_refused_with_the_reason(
    clients: Clients, path: str, body: object, word: str
) -> None:
    answer = clients.root.ask("PUT", f"/v2/auth/{path}", body)
    assert answer.status == 400
    assert word in answer.body["message"]
