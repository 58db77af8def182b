"""Template resources: valid files, and the line of each error."""

import pytest

from confd.core.config.resource import Command
from confd.core.config.resource_file import parse, parse_all
from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.scope import Scope

WHOLE = """\
# The front.
[template]
src = "nginx.j2"
dest = "/etc/nginx/nginx.conf"
keys = [
  "/nginx",   # all of it
  "upstreams/web/",
]
prefix = "/prod/"
mode = "0640"
owner = "root"
group = "www-data"
check_cmd = "nginx -t -c {{ src }}"
reload_cmd = "systemctl reload nginx # {{.dest}}"
"""
LEAST = '[template]\nsrc = "a"\ndest = "/a"\n'


def refused(text: str) -> str:
    with pytest.raises(ResourceError) as caught:
        parse("conf.d/a.toml", text)
    return str(caught.value)


def test_a_resource_with_every_key_is_parsed() -> None:
    resource = parse("a.toml", WHOLE)
    assert (resource.src, resource.dest) == ("nginx.j2", "/etc/nginx/nginx.conf")
    assert resource.scope == Scope("/prod", ("/prod/nginx", "/prod/upstreams/web"))
    assert (resource.mode, resource.owner, resource.group) == (0o640, "root", "www-data")


def test_a_minimal_resource_has_defaults() -> None:
    resource = parse("a.toml", LEAST)
    assert (resource.mode, resource.owner, resource.group) == (None, None, None)
    assert (resource.check, resource.reload) == (None, None)
    assert resource.scope == Scope("", ())


def test_a_given_prefix_replaces_the_resources_own() -> None:
    scope = parse("a.toml", WHOLE, prefix="test").scope
    assert scope == Scope("/test", ("/test/nginx", "/test/upstreams/web"))


def test_a_key_that_is_the_root_means_everything_below_the_prefix() -> None:
    assert parse("a.toml", LEAST + 'keys = ["/"]').scope == Scope("", ("",))
    assert parse("a.toml", LEAST + 'keys = ["/"]', prefix="/p").scope == Scope("/p", ("/p",))


def test_uid_and_gid_override_owner_and_group() -> None:
    resource = parse("a.toml", LEAST + 'owner = "root"\nuid = 7\ngid = 0\n')
    assert (resource.owner, resource.group) == (7, 0)


@pytest.mark.parametrize(
    ("text", "mode"), [("0644", 0o644), ("0600", 0o600), ("04755", 0o4755), ("0000", 0)]
)
def test_a_mode_is_octal(text: str, mode: int) -> None:
    assert parse("a.toml", f'{LEAST}mode = "{text}"').mode == mode


@pytest.mark.parametrize("mode", ['"644"', "644", "0o644", '"0888"', '"u=rw"', '""', '"0644 "'])
def test_a_mode_that_is_not_an_octal_string_is_rejected(mode: str) -> None:
    assert refused(f"{LEAST}mode = {mode}\n") == (
        'conf.d/a.toml:4: mode must be a string of octal digits that begins with 0: "0644"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LEAST + 'ownr = "root"', "4: unknown key 'ownr': did you mean 'owner'?"),
        (LEAST + "\n\nzzz = 1", "6: unknown key 'zzz': the keys are src dest keys prefix"),
        (LEAST + "[backend]\nx = 1", "4: unknown table or key 'backend': only [template]"),
        ("src = 'a'\n" + LEAST, "1: unknown table or key 'src': only [template]"),
        ("", "1: no [template] table"),
        ("template = 1", "1: no [template] table"),
        ("[template]\ndest = '/a'", "1: [template] lacks src: add it"),
        ("\n[template]\nsrc = 'a'", "2: [template] lacks dest: add it"),
        ("[template]\nsrc = 'a\n", "2: not TOML: "),
        ("[template\n", "1: not TOML: "),
        (LEAST + "mode = 0644", "4: not TOML: "),
        (LEAST + 'keys = ["a",\n1]\n', "4: keys must be str, not int"),
        (LEAST + 'keys = "a"\n', "4: keys must be array, not str"),
        (LEAST + 'x = """\nmode = 1\n"""\n', "4: unknown key 'x'"),
        (LEAST + "uid = -1", "4: uid must be from 0 to"),
        (LEAST + "gid = 4294967295", "4: gid must be from 0 to"),
        (LEAST + 'uid = "root"', "4: uid must be int, not str"),
        (LEAST.replace('"a"', '""'), "2: src must be"),
        (LEAST.replace('"a"', '"/etc/passwd"'), "2: src must be"),
        (LEAST.replace('"a"', '"b/../../c"'), "2: src must be"),
        (LEAST.replace('"/a"', '"a"'), "3: dest must be"),
        (LEAST.replace('"/a"', '"/a/"'), "3: dest must be"),
        (LEAST.replace('"/a"', '"/a\\u0000"'), "3: dest must be"),
        (LEAST + 'check_cmd = "a\\u0000"', "4: check_cmd contains a NUL"),
        (
            LEAST + 'reload_cmd = "cp {{ src }} /x"',
            "4: reload_cmd can contain {{ dest }}, not {{ src }}: put a command that needs braces",
        ),
        (LEAST + 'check_cmd = "x {{.Names}}"', "4: check_cmd can contain {{ src }} and {{ dest }}"),
    ],
)
def test_an_unknown_or_wrong_setting_is_rejected_with_its_line(text: str, message: str) -> None:
    assert refused(text).startswith(f"conf.d/a.toml:{message}")


def test_the_error_names_every_invalid_file() -> None:
    with pytest.raises(ResourceError) as caught:
        parse_all({"b.toml": "", "a.toml": "x = 1", "c.toml": LEAST})
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["a.toml", "b.toml"]


def test_two_resources_for_one_file_are_rejected() -> None:
    with pytest.raises(ResourceError, match=r"^b.toml:3: a.toml has the same dest, /a: remove one"):
        parse_all({"a.toml": LEAST, "b.toml": LEAST})


def test_resources_come_in_order_of_name() -> None:
    other = LEAST.replace("/a", "/b")
    assert [found.name for found in parse_all({"b": LEAST, "a": other})] == ["a", "b"]


@pytest.mark.parametrize("place", ["{{ src }}", "{{src}}", "{{.src}}", "{{- .src -}}"])
def test_a_path_in_a_command_is_quoted_for_the_shell(place: str) -> None:
    line = Command(f"check {place}").line(src="/tmp/$(touch x);'", dest="/d")
    assert line == """check '/tmp/$(touch x);'"'"''"""


def test_a_plain_path_stays_plain() -> None:
    assert Command("cp {{ src }} {{ dest }}").line(src="/a.conf", dest="/b") == "cp /a.conf /b"
