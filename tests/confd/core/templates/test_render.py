"""Rendering: the printed text, the keys that are read, and errors without values."""

import jinja2
import pytest

from confd.core.keyspace.reader import ReadSet
from confd.core.templates.functions import environment_functions
from confd.core.templates.render import OUTPUT_BYTES_MAX, Renderer, RenderError, Unreadable
from tests.confd.core.keyspace.key_sets import reader

SECRET = "s3cret-9"
KEYS = {
    "/a": "1",
    "/name": SECRET,
    "/json": '{"port": 80, "big": 2592000, "f": 1.5, "g": 2.592e6, "no": null}',
    "/up/x": "10.0.0.1",
    "/up/y": "10.0.0.2",
}


def renderer(templates: dict[str, str]) -> Renderer:
    def load(name: str) -> tuple[str, str, object] | None:
        if name == "jailed":
            raise Unreadable("the template is outside the templates directory")
        return (templates[name], f"T/{name}", lambda: True) if name in templates else None

    loader = jinja2.FunctionLoader(load)  # type: ignore[arg-type]
    return Renderer(loader, "T/", environment_functions({"HOME": "/root"}, lambda: 0.0))


def rendered(text: str, values: dict[str, str] | None = None, **others: str) -> str:
    templates = {"main": text, **others}
    output = renderer(templates).render("main", reader(KEYS if values is None else values))
    return output.decode()


def failure(text: str, values: dict[str, str] | None = None, **others: str) -> str:
    with pytest.raises(RenderError) as caught:
        rendered(text, values, **others)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ getv('/a') }}\n", "1\n"),
        ("no newline", "no newline"),
        ("a\r\nb {{ getv('/a') }}\r\n", "a\r\nb 1\r\n"),
        ("{% for kv in gets('/up/*') %}{{ kv.Key }}={{ kv.Value }};{% endfor %}",
         "/up/x=10.0.0.1;/up/y=10.0.0.2;"),
        ("{% for kv in gets('/no/*') %}x{% else %}none{% endfor %}", "none"),
        ("{{ exists('/a') }} {{ exists('/b') }}", "true false"),
        ("{{ getvs('/up/*') }}", "[10.0.0.1 10.0.0.2]"),
        ("{{ map('b', 1, 'a', true) }}", "map[a:true b:1]"),
        ("{{ get('/a') }}", "{/a 1}"),
        ("{{ json(getv('/json')).big }}", "2592000"),
        ("{{ json(getv('/json')).f }} {{ json(getv('/json')).g }}", "1.5 2592000"),
        ("{{ (getv('/json')|json)['port'] }}", "80"),
        ("{{ '/x/y'|base }} {{ ls('/up')|join(',') }}", "y x,y"),
        ("{{ getenv('HOME') }} {{ getenv('NO', 'd') }}", "/root d"),
        ("{{ unixTS() }} {{ datetime().strftime('%Y') }}", "0 1970"),
        ("{% for i in seq(1, 9) %}{% if i > 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
        ("{{ 1 }}{{ 1.25 }}{{ '<&>' }}", "11.25<&>"),
    ],
)  # fmt: skip
def test_a_template_prints_values_as_go_does(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_includes_and_imported_macros_see_the_keys() -> None:
    text = "{% include 'part' %}{% from 'macros' import m %}{{ m('/up/x') }}"
    macros = "{% macro m(k) %}{{ getv(k) }}{% endmacro %}"
    assert rendered(text, part="{{ getv('/a') }} ", macros=macros) == "1 10.0.0.1"


def test_two_resources_with_one_template_read_their_own_keys() -> None:
    both = renderer(
        {
            "main": "{% from 'm' import m %}{{ m() }}",
            "m": "{% macro m() %}{{ getv('/a') }}{% endmacro %}",
        }
    )
    assert both.render("main", reader({"/a": "first"})) == b"first"
    assert both.render("main", reader({"/a": "second"})) == b"second"


@pytest.mark.parametrize(
    "value",
    ["{{ 7 * 7 }}", "{% raw %}", "{#", "$(touch /x) `id` ;'\"", "a\nb\r\nc", "\0", "\x1b[0m", "ß☺"],
)
def test_a_value_is_never_rendered_as_a_template(value: str) -> None:
    assert rendered("<{{ getv('/v') }}>", {"/v": value}) == f"<{value}>"


def test_a_rendering_records_what_it_read() -> None:
    read = reader(KEYS)
    text = "{{ getv('/a') }}{{ getv('/no', '') }}{{ exists('/e') }}{{ gets('/up/*') }}{{ ls('/') }}"
    renderer({"main": text}).render("main", read)
    exact = frozenset({"/a", "/no", "/e", "/"})
    assert read.reads == ReadSet(exact, frozenset({"/up/*"}), frozenset({""}))


def test_a_failed_rendering_records_what_it_read() -> None:
    read = reader(KEYS)
    with pytest.raises(RenderError):
        renderer({"main": "{{ getv('/a') }}{{ getv('/no') }}"}).render("main", read)
    assert read.reads.exact == {"/a", "/no"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n{{ getv('/no') }}", "T/main:3: key '/no' is absent: write the key, or give"),
        ("\n{{ undefined_name }}", "T/main:2: 'undefined_name' is undefined"),
        ("{{ json(getv('/json')).absent }}", "T/main:1: a dict object has no 'absent'"),
        ("{{ json(getv('/json')).no }}", "T/main:1: the expression is null"),
        ("{{ 'a' ~", "T/main:1: unexpected 'end of template'"),
        ("\n\n{% nope %}", "T/main:3: Encountered unknown tag 'nope'"),
        ("\n{{ 1|nofilter }}", "T/main:2: No filter named 'nofilter'"),
        ("\n${#A[@]}", "T/main:2: Missing end of comment tag; to write the characters {#"),
        ("\n{% include 'nope' %}", "T/main:2: no template nope in the templates directory"),
        ("\n{% include 'jailed' %}", "T/main:2: the template is outside the templates directory"),
        ("\n{% include 'main' %}", "T/main:2: templates or macros call each other endlessly"),
        ("\n{{ ''.__class__ }}", "T/main:2: the sandbox does not allow this access"),
        ("\n{{ getv.__globals__ }}", "T/main:2: the sandbox does not allow this access"),
        ("{{ getv }}", "T/main:1: the expression is a function: call it"),
        ("{{ [1]|map('string') }}", "T/main:1: the expression is an iterator"),
        ("\n{{ 1 + 'a' }}", "T/main:2: TypeError: an argument of the wrong type"),
        ("\n{{ getv() }}", "T/main:2: TypeError: an argument of the wrong type"),
        ("\n{{ 1 / 0 }}", "T/main:2: ZeroDivisionError in an expression"),
        ("{{ '\\ud800' }}", "T/main: the text is not valid Unicode"),
        ("{{ ([]|first).x }}", "T/main:1: an undefined value is used"),
        ("{{ lipsum() }}", "T/main:1: 'lipsum' is undefined"),
        ("{{ [1]|random }}", "T/main:1: No filter named 'random'"),
        ("{{ [].append(1) }}", "T/main:1: the sandbox does not allow this access"),
    ],
)
def test_an_error_names_the_template_and_line(text: str, message: str) -> None:
    assert failure(text).startswith(message)


def test_an_error_in_an_included_template_has_that_templates_line() -> None:
    text = "{% include 'part' %}"
    assert failure(text, part="\n\n\n{{ getv('/no') }}").startswith("T/part:4: key '/no'")


def test_the_error_names_a_missing_template() -> None:
    with pytest.raises(RenderError, match=r"^T/gone: no template gone in the templates directory"):
        renderer({}).render("gone", reader(KEYS))


@pytest.mark.parametrize(
    "expression",
    [
        "atoi(v)",
        "parseBool(v)",
        "json(v)",
        "base64Decode(v)",
        "v + 1",
        "{}[v]",
        "{}|attr(v)",
        "''|attr('__' ~ v)",
        "(v ~ '%d') % 'x'",
        "dict(a=1)[v].x",
        "[1][v]",
        "v()",
        "[v]|sum",
        "[v]|groupby('x')",
        "join([1, v], ',')",
        "map(**{v: 1})",
        "('{0.' ~ v ~ '}').format(1)",
    ],
)
def test_no_error_shows_a_value(expression: str) -> None:
    assert SECRET not in failure(f"{{% set v = getv('/name') %}}\n{{{{ {expression} }}}}")


def test_a_template_removed_while_it_is_rendered_is_an_error() -> None:
    loads = [("{{ {}['x'] }}", "T/main", lambda: True)] * 2

    def load(name: str) -> object:
        return loads.pop() if loads else None

    loader = jinja2.FunctionLoader(load)  # type: ignore[arg-type]
    with pytest.raises(RenderError, match=r"^T/main:1: a dict object has no such item"):
        Renderer(loader, "T/", {}).render("main", reader(KEYS))


def test_a_template_name_that_comes_from_a_value_is_not_shown() -> None:
    assert SECRET not in failure("{% include getv('/name') %}")


def test_a_file_that_grows_endlessly_is_rejected() -> None:
    text = "{% for i in seq(1, 90000) %}{{ getv('/v') }}{% endfor %}"
    message = failure(text, {"/v": "x" * 1000})
    assert message == f"T/main: the file would be larger than {OUTPUT_BYTES_MAX} bytes"
