"""Every template function, with the cases that Go's meaning is known by."""

import pytest

from confd.core.keyspace.reader import KVPair
from confd.core.templates import functions, text_functions
from confd.core.templates.functions import FunctionError
from tests.confd.core.keyspace.key_sets import reader

KEYS = {
    "/deis/services/key": "value",
    "/deis/services/srv1/node1": "10.244.1.1:80",
    "/deis/services/srv1/node2": "10.244.2.2:80",
    "/deis/services/srv2/node1": "10.244.1.3:80",
    "/empty": "",
    "/top": "t",
    "/yes/b": "1",
    "/yes/a": "2",
}


def keyed(name: str, *arguments: object) -> object:
    return functions.key_functions(reader(KEYS))[name](*arguments)


def plain(name: str, *arguments: object) -> object:
    return {**functions.PLAIN, **text_functions.PLAIN}[name](*arguments)


KEYED_CASES = [
    ("getv", ("/top",), "t"),
    ("getv", ("/top", "d"), "t"),
    ("getv", ("/none", "d"), "d"),
    ("getv", ("/none", "d", "ignored"), "d"),
    ("getv", ("/none", ""), ""),
    ("getv", ("/empty", "d"), ""),
    ("get", ("/top",), KVPair("/top", "t")),
    ("exists", ("/top",), True),
    ("exists", ("/top/",), False),
    ("exists", ("/deis",), False),
    ("exists", ("/none",), False),
    ("gets", ("/yes/*",), [KVPair("/yes/a", "2"), KVPair("/yes/b", "1")]),
    ("gets", ("/none/*",), []),
    ("gets", ("/deis/*",), []),
    ("getvs", ("/yes/*",), ["1", "2"]),
    ("getvs", ("/none/*",), []),
    ("ls", ("/deis/services",), ["key", "srv1", "srv2"]),
    ("ls", ("/deis/services/",), ["key", "srv1", "srv2"]),
    ("ls", ("/",), ["deis", "empty", "top", "yes"]),
    ("ls", ("/top",), ["top"]),
    ("ls", ("/none",), []),
    ("ls", ("/dei",), []),
    ("lsdir", ("/deis/services",), ["srv1", "srv2"]),
    ("lsdir", ("/",), ["deis", "yes"]),
    ("lsdir", ("/top",), []),
    ("lsdir", ("/none",), []),
]

PLAIN_CASES = [
    ("json", ('{"a": [1, {"b": null}]}',), {"a": [1, {"b": None}]}),
    ("json", ("{}",), {}),
    ("jsonArray", ('["a", 1, true]',), ["a", 1, True]),
    ("map", ("a", 1, "b", "x"), {"a": 1, "b": "x"}),
    ("map", (), {}),
    ("split", ("a,b,,c", ","), ["a", "b", "", "c"]),
    ("split", ("", ","), [""]),
    ("split", ("añb", ""), ["a", "ñ", "b"]),
    ("split", ("", ""), []),
    ("join", (["a", "b"], "-"), "a-b"),
    ("join", ([], "-"), ""),
    ("base", ("",), "."),
    ("base", ("/",), "/"),
    ("base", ("//",), "/"),
    ("base", ("/a/b/",), "b"),
    ("base", ("a",), "a"),
    ("dir", ("",), "."),
    ("dir", ("foo",), "."),
    ("dir", ("/foo",), "/"),
    ("dir", ("/",), "/"),
    ("dir", ("/a/b/",), "/a/b"),
    ("dir", ("/a//b/c",), "/a/b"),
    ("dir", ("/a/../b/c",), "/b"),
    ("dir", ("a/b",), "a"),
    ("dir", ("../a/b",), "../a"),
    ("dir", ("a/../../b",), ".."),
    ("dir", ("/../a",), "/"),
    ("toUpper", ("aßé",), "AßÉ"),
    ("toLower", ("AΣİ",), "aσi"),
    ("contains", ("abc", "bc"), True),
    ("contains", ("abc", "cb"), False),
    ("contains", ("abc", ""), True),
    ("replace", ("aaa", "a", "b", -1), "bbb"),
    ("replace", ("aaa", "a", "b", 2), "bba"),
    ("replace", ("aaa", "a", "b", 0), "aaa"),
    ("replace", ("ab", "", "-", -1), "-a-b-"),
    ("trimSuffix", ("a.conf", ".conf"), "a"),
    ("trimSuffix", ("a.conf.conf", ".conf"), "a.conf"),
    ("trimSuffix", ("a", ""), "a"),
    ("atoi", ("42",), 42),
    ("atoi", ("-7",), -7),
    ("atoi", ("+7",), 7),
    ("atoi", ("007",), 7),
    ("atoi", ("9223372036854775807",), 2**63 - 1),
    ("add", (2, 3), 5),
    ("sub", (2, 3), -1),
    ("mul", (2, 3), 6),
    ("div", (7, 2), 3),
    ("div", (-7, 2), -3),
    ("div", (7, -2), -3),
    ("div", (-7, -2), 3),
    ("mod", (7, 3), 1),
    ("mod", (-7, 3), -1),
    ("mod", (7, -3), 1),
    ("seq", (1, 3), [1, 2, 3]),
    ("seq", (3, 1), [3, 2, 1]),
    ("seq", (2, 2), [2]),
    ("reverse", (["a", "b"],), ["b", "a"]),
    ("reverse", ([KVPair("/a", "1"), KVPair("/b", "2")],), [KVPair("/b", "2"), KVPair("/a", "1")]),
    ("sortByLength", (["ccc", "é", "b", "aa"],), ["b", "é", "aa", "ccc"]),
    (
        "sortKVByLength",
        ([KVPair("/long", ""), KVPair("/b", "xx"), KVPair("/a", "x")],),
        [KVPair("/b", "xx"), KVPair("/a", "x"), KVPair("/long", "")],
    ),
    ("base64Encode", ("hé",), "aMOp"),
    ("base64Decode", ("aMOp",), "hé"),
    ("base64Decode", ("YQ==",), "a"),
    ("default", ("d", ""), "d"),
    ("default", ("d", "v"), "v"),
    ("default", ("d",), "d"),
    ("ternary", ("a", "b", True), "a"),
    ("ternary", ("a", "b", False), "b"),
    ("coalesce", ("", [], "x", "y"), "x"),
    ("coalesce", (), ""),
    ("empty", ("",), True),
    ("empty", ("x",), False),
    ("toJson", ({"b": [1, True, None], "a": "é"},), '{"a":"é","b":[1,true,null]}'),
    ("toJson", ([KVPair("/k", "v")],), '[{"Key":"/k","Value":"v"}]'),
    ("toPrettyJson", ({"a": 1},), '{\n  "a": 1\n}'),
    ("indent", (2, "a\nb"), "  a\n  b"),
    ("nindent", (1, "a\nb"), "\n a\n b"),
    ("quote", ('a"\n',), '"a\\"\\n"'),
    ("squote", ("it's",), "'it's'"),
    ("regexMatch", ("^a+$", "aaa"), True),
    ("regexMatch", ("b", "aaa"), False),
    ("regexFind", ("[0-9]+", "a12b3"), "12"),
    ("regexFind", ("x", "a"), ""),
    ("regexReplaceAll", ("(a)(b)?", "abac", "${1}$2-$$"), "ab-$a-$c"),
    ("trimPrefix", ("a.a.b", "a."), "a.b"),
    ("repeat", (3, "ab"), "ababab"),
    ("nospace", (" a b\tc\n",), "abc"),
    ("snakecase", ("HTTPServer-name",), "http_server_name"),
    ("camelcase", ("http_server",), "HttpServer"),
    ("kebabcase", ("HttpServer name",), "http-server-name"),
    ("dict", ("a", 1, "b", 2), {"a": 1, "b": 2}),
    ("list", (1, "a"), [1, "a"]),
    ("hasKey", ({"a": 1}, "a"), True),
    ("keys", ({"b": 1, "a": 2},), ["a", "b"]),
    ("values", ({"b": 1, "a": 2},), [2, 1]),
    ("append", ([1], 2), [1, 2]),
    ("pluck", ("a", {"a": 1}, {"b": 2}, {"a": 3}), [1, 3]),
    ("sha256sum", ("",), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("index", ([1, {"a": "x"}], 1, "a"), "x"),
    ("len", ("é",), 2),
    ("len", ([1, 2],), 2),
    (
        "printf",
        ("%s-%03d %v %q %t %x %.2f %%", "a", 7, [1, "b"], "q", True, 255, 1.5),
        'a-007 [1 b] "q" true ff 1.50 %',
    ),
    ("printf", ("%-4s|%4s|%x", "a", "b", "hi"), "a   |   b|6869"),
    ("fromJson", ("[1]",), [1]),
    *(("parseBool", (text,), True) for text in ("1", "t", "T", "TRUE", "true", "True")),
    *(("parseBool", (text,), False) for text in ("0", "f", "F", "FALSE", "false", "False")),
]

SECRET = "s3cret"
WRONG_CASES = [
    ("toJson", (float("nan"),)),
    ("toJson", ({1, 2},)),
    ("indent", (-1, "a")),
    ("repeat", (2**40, "a")),
    ("regexMatch", ("(", SECRET)),
    ("dict", ("a",)),
    ("index", ([1], 1)),
    ("index", ({"a": 1}, SECRET)),
    ("printf", ("%d", SECRET)),
    ("printf", ("%s", SECRET, SECRET)),
    ("printf", ("%s %s", SECRET)),
    ("printf", ("%99999s", SECRET)),
    ("json", ("[1]",)),
    ("json", (SECRET,)),
    ("json", ('{"a": NaN}',)),
    ("json", ("[" * 100_000,)),
    ("jsonArray", ("{}",)),
    ("map", ("a",)),
    ("map", (1, "a")),
    ("join", ([1], ",")),
    ("parseBool", (SECRET,)),
    ("parseBool", ("yes",)),
    ("parseBool", ("",)),
    *(("atoi", (text,)) for text in (SECRET, "", " 1", "1 ", "1_0", "0x1", "1.0", "١", "9" * 19)),
    ("atoi", ("1" * 5000,)),
    ("add", (2**63 - 1, 1)),
    ("add", ("1", 1)),
    ("add", (True, 1)),
    ("div", (1, 0)),
    ("div", (-(2**63), -1)),
    ("mod", (1, 0)),
    ("seq", (0, 100_000)),
    ("seq", (0, -100_000)),
    ("base64Decode", (SECRET,)),
    ("base64Decode", ("YQ",)),
    ("base64Decode", ("YQ==\n",)),
    ("base64Decode", ("/w==",)),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), KEYED_CASES)
def test_a_key_function_returns_what_go_returns(
    name: str, arguments: tuple[object, ...], expected: object
) -> None:
    assert keyed(name, *arguments) == expected


@pytest.mark.parametrize(("name", "arguments", "expected"), PLAIN_CASES)
def test_a_function_returns_what_go_returns(
    name: str, arguments: tuple[object, ...], expected: object
) -> None:
    assert plain(name, *arguments) == expected


@pytest.mark.parametrize(("name", "arguments"), WRONG_CASES)
def test_the_error_for_a_wrong_argument_does_not_show_its_value(
    name: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(FunctionError) as caught:
        plain(name, *arguments)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["get", "getv"])
def test_the_error_for_an_absent_key_names_the_remedy(name: str) -> None:
    with pytest.raises(FunctionError, match=r"'/none' is absent: .* getv\('/none', \.\.\.\)"):
        keyed(name, "/none")


def test_a_key_outside_the_scope_has_its_own_error() -> None:
    getv = functions.key_functions(reader(KEYS, "", ("/deis",)))["getv"]
    with pytest.raises(FunctionError, match=r"'/top' is not covered by `keys`"):
        getv("/top")


def test_a_bad_pattern_is_an_error() -> None:
    with pytest.raises(FunctionError, match=r"pattern '/a\['"):
        keyed("gets", "/a[")


def test_every_function_has_a_case() -> None:
    covered = {case[0] for case in (*KEYED_CASES, *PLAIN_CASES)}
    names = {*functions.PLAIN, *text_functions.PLAIN, *functions.key_functions(reader({}))}
    assert covered == names


def test_reverse_does_not_change_its_argument() -> None:
    items = ["a", "b"]
    plain("reverse", items)
    assert items == ["a", "b"]


def test_the_environment_and_the_clock_are_the_given_ones() -> None:
    found = functions.environment_functions({"A": "1", "EMPTY": ""}, lambda: 86400.5)
    assert found["getenv"]("A", "d") == "1"
    assert found["getenv"]("EMPTY", "d") == "d"
    assert found["getenv"]("NONE") == ""
    assert found["unixTS"]() == "86400"
    assert str(found["datetime"]()) == "1970-01-02 00:00:00.500000+00:00"
