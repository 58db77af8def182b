"""Random requests: few key names, every method and flag, right and wrong values."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from coordinator.core.store.keyspace import KeySpace

NAMES = ("a", "ab", "b", "_h", "é <&>")
# Long enough that nothing of it ends during a run.
TTLS = ("1000", "5000", "100000", "")
BAD_NUMBERS = (
    "-1",
    "+1",
    "",
    "1.5",
    "x",
    "18446744073709551616",
    "0x1",
    "1_000",
    "0" * 30 + "70000",
    "9" * 30,
)
TRUE, FALSE = ("true", "1", "t", "T", "TRUE", "True"), ("false", "0", "f", "F", "FALSE", "False")
BAD_TRUTHS = ("", "yes", "no", "tRUE", "2")
FLAGS = ("dir", "recursive", "sorted", "quorum", "stream", "noValueOnSuccess", "refresh")
VALUES = ("one", "two", "", "ü\u2028", '<&>"\\\x00\x08\x0c\x7f', "a+b c;d%e=f", "{'x': [1]}")
RAW_VALUES = (b"%ff%e2%82%41", b"%ed%a0%80", b"%F4%90%80%80", b"%zz", b"a;b", b"%", b"a%0d%0a+b")
CONTENT_TYPES = (
    b"text/plain",
    b"application/json",
    b"",
    b"APPLICATION/x-www-form-urlencoded ; charset=utf-8",
    b"application/x-www-form-urlencoded;",
    b"application/x-www-form-urlencoded; charset",
    b"application/x-www-form-urlencoded; a=1; a=2",
    b'application/x-www-form-urlencoded; a="x;\\"y"; b=c',
    b"form",
    b"/form",
    b"a b",
    b"a/",
    b"a/b c",
    b";",
)
FORM = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes. A `settle` asks to wait behind it until all short TTLs have ended."""

    method: str
    target: bytes
    body: bytes = b""
    content_type: bytes = FORM
    settle: bool = False

    def wire(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), self.target), b"Host: x"]
        if self.content_type:
            lines.append(b"Content-Type: " + self.content_type)
        lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", self.body])


class Traffic:
    """Draws requests that collide with what `space` holds.

    Its waits go back to where it began or, where all sides forget alike, to what is forgotten.
    """

    def __init__(self, rng: random.Random, space: KeySpace, *, too_late: bool) -> None:
        self._rng = rng
        self._space = space
        self._oldest_wait = space.index + 1
        self._too_late = too_late
        self._draws = {
            self._set: 22,
            self._directory: 7,
            self._create: 7,
            self._update: 9,
            self._swap: 10,
            self._append: 7,
            self._refresh: 7,
            self._delete: 14,
            self._delete_if: 7,
            self._get: 16,
            self._watch: 14,
            self._odd: 6,
            self._raw: 4,
        }

    def requests(self, count: int) -> Iterator[Request]:
        """Yield `count` requests and, in the middle, some whose TTLs end."""
        for number in range(count):
            if number == count // 2:
                yield from self._short_lives()
            (draw,) = self._rng.choices(list(self._draws), list(self._draws.values()))
            yield draw()

    def _short_lives(self) -> Iterator[Request]:
        for last in (False, False, False, True):
            how = self._rng.choice(({}, {"dir": "true"}, {"prevExist": "true"}, {"refresh": "1"}))
            value = {} if how else {"value": "brief"}
            body = self._form({**value, **how, "ttl": "2"})
            yield Request("PUT", b"/v2/keys" + self._path(self._key()), body, settle=last)
        body = self._form({"value": "at once", "ttl": "0"})
        yield Request("PUT", b"/v2/keys" + self._path(self._key()), body, settle=True)

    def _set(self) -> Request:
        return self._request("PUT", self._key(), {"value": self._value(), **self._ttl()})

    def _directory(self) -> Request:
        fields = {"dir": "true", **self._ttl()}
        if self._rng.random() < 0.3:
            fields["value"] = self._value()
        if self._rng.random() < 0.4:
            fields["prevExist"] = self._truth(0.5)
        return self._request("PUT", self._key(), fields)

    def _create(self) -> Request:
        fields = {"value": self._value(), "prevExist": self._truth(0), **self._ttl()}
        return self._request("PUT", self._key(), fields)

    def _update(self) -> Request:
        fields = {"prevExist": self._truth(1), **self._ttl()}
        if self._rng.random() < 0.6:
            fields["value"] = self._value()
        return self._request("PUT", self._present(), fields)

    def _swap(self) -> Request:
        key = self._present()
        fields = {"value": self._value(), **self._conditions(key), **self._ttl()}
        if self._rng.random() < 0.2:
            fields["prevExist"] = self._truth(0.7)
        if self._rng.random() < 0.1:
            fields = {**fields, "refresh": "true", "ttl": "777", "value": ""}
        return self._request("PUT", key, fields)

    def _append(self) -> Request:
        fields = {"value": self._value(), **self._ttl()}
        if self._rng.random() < 0.2:
            fields["dir"] = self._truth(0.8)
        return self._request("POST", self._rng.choice(("/", "/q", self._key())), fields)

    def _refresh(self) -> Request:
        fields = {"refresh": self._truth(0.9), "ttl": self._rng.choice(TTLS)}
        if self._rng.random() < 0.6:
            fields["prevExist"] = self._truth(0.8)
        if self._rng.random() < 0.2:
            fields["value"] = self._value()
        return self._request("PUT", self._present(), fields)

    def _delete(self) -> Request:
        fields = {}
        if self._rng.random() < 0.5:
            fields["recursive"] = self._truth(0.8)
        if self._rng.random() < 0.4:
            fields["dir"] = self._truth(0.8)
        return self._request("DELETE", self._present(), fields)

    def _delete_if(self) -> Request:
        key = self._present()
        return self._request("DELETE", key, self._conditions(key))

    def _get(self) -> Request:
        fields = {}
        for flag in ("recursive", "sorted", "quorum"):
            if self._rng.random() < 0.4:
                fields[flag] = self._truth(0.7)
        return self._request(self._rng.choice(("GET", "GET", "HEAD")), self._present(), fields)

    def _watch(self) -> Request:
        fields = {"wait": "true"}
        for flag, chance in (("recursive", 0.6), ("stream", 0.4)):
            if self._rng.random() < chance:
                fields[flag] = self._truth(0.9)
        if self._rng.random() < 0.6:
            fields["waitIndex"] = str(self._wait_index())
        key = self._rng.choice(("/", self._key(), self._key(), self._present()))
        return self._request("GET", key, fields)

    def _wait_index(self) -> int:
        index = self._space.index
        kept = self._space.history.first
        if self._too_late and self._rng.random() < 0.1:
            return self._rng.randrange(1, kept)
        oldest = max(self._oldest_wait, kept)
        ahead = index + self._rng.randrange(1, 6)
        return self._rng.choice((ahead, self._rng.randint(oldest, index + 1), 0))

    def _odd(self) -> Request:
        method = self._rng.choice(("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "PUT", "GET"))
        path = self._rng.choice(
            (
                b"/v2/keys//a",
                b"/v2/keys/./a?x=<1>&y='",
                b"/v2/keys/a/../%5fb%22?value=1",
                b"/v2/keys/a%2f%2e%2e/b//",
                b"/v2/keys/..",
                b"/v2/keysfoo",
                b"/v2/keys%2Fa",
                b"/v2/keys/%",
                b"/v2/keys/a%2fb/",
                b"/v2/keys/a#b",
                b"/v2/keys/a?x=%zz",
                b"/v2/keys/a?x=%c3%a9&%",
                b"/v2/keys/a?x;y",
                b"/v2/keys?&&=&x",
                b"/v2/keys/!*'();:@&=+$,[]~-_.",
            )
        )
        return Request(method, path, self._form({"value": self._value()}))

    def _raw(self) -> Request:
        body = b"value=" + self._rng.choice(RAW_VALUES)
        if self._rng.random() < 0.5:
            return Request("PUT", b"/v2/keys" + self._path(self._key()), body)
        content_type = self._rng.choice(CONTENT_TYPES)
        return Request("PUT", b"/v2/keys" + self._path(self._key()), body, content_type)

    def _request(self, method: str, key: str, fields: dict[str, str]) -> Request:
        """Spread fields over query and body, with now and then a flag too many or a bad value."""
        fields = dict(fields)
        if self._rng.random() < 0.1:
            fields[self._rng.choice(FLAGS)] = self._truth(0.6)
        if self._rng.random() < 0.05:
            fields[self._rng.choice(FLAGS)] = self._rng.choice(BAD_TRUTHS)
        if self._rng.random() < 0.04:
            name = self._rng.choice(("prevIndex", "waitIndex", "ttl"))
            fields[name] = self._rng.choice(BAD_NUMBERS)
        if self._rng.random() < 0.03:
            name = self._rng.choice(("prevExist", "wait", "prevValue", "noValueOnSuccess"))
            fields[name] = self._rng.choice(("", "yes", "true"))
        in_body = {name: value for name, value in fields.items() if self._rng.random() < 0.7}
        if method not in {"PUT", "POST"}:
            in_body = {"value": "ignored", "ttl": "x"} if self._rng.random() < 0.05 else {}
        in_query = {name: value for name, value in fields.items() if name not in in_body}
        if self._rng.random() < 0.05:
            in_query["value"] = "query"
        target = b"/v2/keys" + self._path(key)
        if in_query:
            target += b"?" + self._form(in_query)
        return Request(method, target, self._form(in_body))

    def _form(self, fields: dict[str, str]) -> bytes:
        pairs = [f"{name}={quote(value, safe='')}" for name, value in fields.items()]
        self._rng.shuffle(pairs)
        return "&".join(pairs).encode()

    def _path(self, key: str) -> bytes:
        path = quote(key, safe="" if self._rng.random() < 0.02 else "/")
        if key != "/" and self._rng.random() < 0.05:
            path += "/"
        return (path if key != "/" or self._rng.random() < 0.5 else "").encode()

    def _key(self) -> str:
        depth = self._rng.choice((1, 1, 1, 2, 2, 3))
        return "".join(f"/{self._rng.choice(NAMES)}" for _ in range(depth))

    def _present(self) -> str:
        if self._rng.random() < 0.35:
            return self._key()
        keys = list(self._space.tree.nodes)
        return self._rng.choice(keys).decode()

    def _value(self) -> str:
        return self._rng.choice(VALUES[:3] if self._rng.random() < 0.8 else VALUES)

    def _ttl(self) -> dict[str, str]:
        return {"ttl": self._rng.choice(TTLS)} if self._rng.random() < 0.25 else {}

    def _truth(self, chance: float) -> str:
        return self._rng.choice(TRUE if self._rng.random() < chance else FALSE)

    def _conditions(self, key: str) -> dict[str, str]:
        node = self._space.tree.nodes.get(key.encode())
        modified = node.modified if node else 7
        value = (node.value or b"").decode(errors="replace") if node else "one"
        conditions = {}
        if self._rng.random() < 0.6:
            conditions["prevIndex"] = str(self._rng.choice((modified, modified, modified + 1, 0)))
        if self._rng.random() < 0.6:
            conditions["prevValue"] = self._rng.choice((value, value, "one", "other"))
        return conditions
