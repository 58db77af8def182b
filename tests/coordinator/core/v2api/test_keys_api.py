"""From a request to a read, a watch or a command."""

import pytest

from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Put
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.watcher_hub import WatchFilter
from coordinator.core.v2api import keys_api
from coordinator.core.v2api.form import FORM_TYPE
from coordinator.core.v2api.keys_api import (
    CACHED_TARGET_BYTES_MAX,
    GetRequest,
    KeysRequest,
    NotAllowed,
    NotFound,
    WatchRequest,
    WriteRequest,
    parse,
)
from coordinator.core.v2api.request_target import BadTarget, Redirect

NOW_NS = 1_700_000_000_000_000_000
NOW = Moment(NOW_NS)
TEN_S_NS = 10_000_000_000


def get(target: str, method: bytes = b"GET") -> KeysRequest:
    return parse(method, target.encode(), b"", b"", NOW_NS)


def send(method: bytes, target: str, form: bytes = b"", content_type: bytes = FORM_TYPE) -> Command:
    return write(method, target, form, content_type).command


def write(
    method: bytes, target: str, form: bytes = b"", content_type: bytes = FORM_TYPE
) -> WriteRequest:
    parsed = parse(method, target.encode(), form, content_type, NOW_NS)
    assert isinstance(parsed, WriteRequest)
    return parsed


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/v2/keys", b"/"),
        ("/v2/keys/", b"/"),
        ("/v2/keys/a/b/", b"/a/b"),
        ("/v2/keys%2Fa%2fB", b"/a/B"),
        ("/v2/keys/a+b%20%ff", b"/a+b \xff"),
        ("http://host:2379/v2/keys/a", b"/a"),
        ("/v2/keys/" + "x" * CACHED_TARGET_BYTES_MAX, b"/" + b"x" * CACHED_TARGET_BYTES_MAX),
    ],
)
def test_a_target_names_a_key(target: str, key: bytes) -> None:
    assert get(target) == GetRequest(key)
    assert send(b"PUT", target) == Put(key)


def test_a_path_that_is_not_a_clean_key_is_refused_for_every_method() -> None:
    for method in (b"GET", b"PUT", b"PATCH"):
        assert isinstance(get("/v2/keys//a", method), Redirect)
        assert isinstance(get("/v2/keys/../keys" + "/x" * 300, method), Redirect)
        assert get("/v2/keysfoo", method) == NotFound()
        assert get("/v2/keys/%zz", method) == BadTarget()
    assert get("/v2/keys/a", b"PATCH") == NotAllowed()


def test_a_get_carries_its_flags_and_a_head_is_never_a_quorum_read() -> None:
    flags = "?recursive=true&sorted=true&quorum=true&hidden=1&dir=true"
    assert get(f"/v2/keys/a{flags}") == GetRequest(b"/a", recursive=True, hidden=True, quorum=True)
    assert get(f"/v2/keys/a{flags}", b"HEAD") == GetRequest(
        b"/a", recursive=True, hidden=True, head=True
    )


def test_a_watch_begins_at_its_index_or_at_the_present_one() -> None:
    watch = get("/v2/keys/a?wait=true&recursive=true&waitIndex=7")
    assert watch == WatchRequest(WatchFilter(b"/a", recursive=True), stream=False, wait_index=7)
    assert isinstance(watch, WatchRequest)
    assert watch.after(100) == 6
    now = get("/v2/keys/a?wait=true&stream=true&hidden=true&progress=5&waitIndex=0")
    assert now == WatchRequest(WatchFilter(b"/a", hidden=True), True, 0, progress_s=5.0)
    assert isinstance(now, WatchRequest)
    assert now.after(100) == 100


def test_progress_is_for_streams_and_a_quorum_wait_is_a_read() -> None:
    poll = get("/v2/keys/a?wait=true&progress=5")
    assert poll == WatchRequest(WatchFilter(b"/a"), stream=False, wait_index=0)
    assert get("/v2/keys/a?wait=true&quorum=true") == GetRequest(b"/a", quorum=True)


def test_a_put_has_all_its_conditions() -> None:
    form = b"value=v%2B+1&ttl=10&dir=true&prevExist=true&prevValue=w&prevIndex=3"
    put = Put(b"/a", b"v+ 1", True, prev_exist=True, prev_value=b"w", prev_index=3)
    assert write(b"PUT", "/v2/keys/a", form) == WriteRequest(put, TEN_S_NS)
    refresh = write(b"PUT", "/v2/keys/a?refresh=true&ttl=10&prevExist=true")
    assert refresh == WriteRequest(Put(b"/a", prev_exist=True, refresh=True), TEN_S_NS)


@pytest.mark.parametrize("value", [b"", b"plain", b"a=b", b"\xff", b"x" * 100_000])
def test_a_bare_value_is_taken_as_it_is(value: bytes) -> None:
    assert send(b"PUT", "/v2/keys/a", b"value=" + value) == Put(b"/a", value)


def test_the_body_wins_over_the_query() -> None:
    put = write(b"PUT", "/v2/keys/a?value=q&ttl=10", b"value=b&value=c")
    assert put == WriteRequest(Put(b"/a", b"b"), TEN_S_NS)
    assert send(b"PUT", "/v2/keys/a?value=q", b"value=") == Put(b"/a", b"")


def test_only_a_form_is_read() -> None:
    for content_type in (b"", b"text/plain", b"application/json"):
        assert send(b"PUT", "/v2/keys/a", b"value=v", content_type) == Put(b"/a")


def test_a_post_creates_in_order_and_ignores_conditions() -> None:
    form = b"value=v&ttl=10&prevExist=false&prevIndex=3"
    assert write(b"POST", "/v2/keys/q", form) == WriteRequest(CreateInOrder(b"/q", b"v"), TEN_S_NS)


def test_a_delete_has_no_time_to_live() -> None:
    assert write(b"DELETE", "/v2/keys/a?ttl=10") == WriteRequest(Delete(b"/a"))


def test_a_delete_ignores_its_body() -> None:
    target = "/v2/keys/a?recursive=true&dir=true&prevValue=v&prevIndex=3"
    assert send(b"DELETE", target, b"ttl=x&%zz") == Delete(b"/a", True, True, b"v", 3)
    assert send(b"DELETE", "/v2/keys/a") == Delete(b"/a")


def test_a_bad_parameter_is_refused_for_every_method_and_again() -> None:
    for method in (b"GET", b"HEAD", b"DELETE", b"PUT", b"POST", b"GET"):
        with pytest.raises(ApiError) as refused:
            get("/v2/keys/a?ttl=x", method)
        assert (refused.value.code, refused.value.index) == (202, 0)


def written(space: KeySpace, method: bytes, target: str, form: bytes) -> tuple[int, bytes]:
    parsed = parse(method, target.encode(), form, FORM_TYPE, NOW_NS)
    assert isinstance(parsed, WriteRequest)
    event = space.apply(parsed.command)
    assert isinstance(event, KeyEvent)
    return keys_api.status_of(event), keys_api.written(event, NOW, no_value=parsed.no_value)


def test_an_answer_can_be_shrunk_to_the_action_but_not_of_a_delete() -> None:
    space = KeySpace()
    target = "/v2/keys/a?noValueOnSuccess=true"
    assert written(space, b"PUT", target, b"value=v") == (201, b'{"action":"set"}\n')
    assert written(space, b"PUT", target, b"value=v&prevExist=true") == (
        200,
        b'{"action":"update"}\n',
    )
    assert written(space, b"POST", target.replace("a?", "q?"), b"")[1] == b'{"action":"create"}\n'
    assert written(space, b"DELETE", target, b"")[1] == (
        b'{"action":"delete","node":{"key":"/a","modifiedIndex":4,"createdIndex":1},'
        b'"prevNode":{"key":"/a","value":"v","modifiedIndex":2,"createdIndex":1}}\n'
    )


def test_a_read_answers_with_a_line() -> None:
    space = KeySpace()
    space.apply(Put(b"/a", b"v", expires_ns=NOW_NS + TEN_S_NS))
    assert keys_api.read(space, GetRequest(b"/a"), NOW) == (
        b'{"action":"get","node":{"key":"/a","value":"v",'
        b'"expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":1,"createdIndex":1}}\n'
    )
    everything = GetRequest(b"/", recursive=True)
    listed = keys_api.read(space, everything, NOW)
    assert listed is not None
    assert listed.startswith(b'{"action":"get","node":{"dir":true,"nodes":[{"key":"/a",')
    assert b"".join(keys_api.listed(space, everything, NOW)) == listed
    read = keys_api.read(space, GetRequest(b"/a"), NOW)
    assert b"".join(keys_api.listed(space, GetRequest(b"/a"), NOW)) == read


def test_a_long_directory_is_not_listed_at_once() -> None:
    space = KeySpace()
    for number in range(keys_api.SHORT.nodes + 1):
        space.apply(Put(b"/d/%d" % number, b""))
    assert keys_api.read(space, GetRequest(b"/d"), NOW) is None
    body = b"".join(keys_api.listed(space, GetRequest(b"/d"), NOW))
    assert body.count(b'"value"') == keys_api.SHORT.nodes + 1
    assert space.stats.done["get"] == 1


@pytest.mark.parametrize(
    ("method", "key"),
    [
        (b"PUT", "/a" * 129),
        (b"POST", "/a" * 128),
        (b"PUT", "/" + "k" * 2048),
        (b"POST", "/" + "k" * 2027),
    ],
)
def test_a_new_key_is_neither_too_deep_nor_too_long(method: bytes, key: str) -> None:
    with pytest.raises(ApiError, match="are allowed") as refusal:
        send(method, f"/v2/keys{key}", b"value=x")
    assert (refusal.value.code, refusal.value.status) == (209, 400)
    shorter = key[2:] if key.startswith("/a") else key[:-1]
    assert send(method, f"/v2/keys{shorter}", b"value=x").key == shorter.encode()
    assert get(f"/v2/keys{key}") == GetRequest(key.encode())
    assert send(b"DELETE", f"/v2/keys{key}") == Delete(key.encode())
