"""A converted Go template renders the same text as the original, or its lines are reported."""

import pytest

from confd.core.templates.go_converter import converted
from tests.confd.core.templates.test_render import rendered

KEYS = {
    "/a": "1",
    "/up/x": "10.0.0.1",
    "/up/y": "10.0.0.2",
    "/json": '{"b": "2", "a": "1"}',
    "/flag": "true",
}


@pytest.mark.parametrize(
    ("go", "output"),
    [
        ('{{getv "/a" "d"}}', "1"),
        ('{{ getv "/no" `raw"d` }}', 'raw"d'),
        ('a  {{- getv "/a" -}}  b', "a1b"),
        ("x{{/* a comment #} */}}y", "xy"),
        ('{{if exists "/a"}}yes{{else}}no{{end}}', "yes"),
        ('{{if exists "/no"}}a{{else if eq (getv "/a") "1"}}b{{else}}c{{end}}', "b"),
        ('{{range gets "/up/*"}}{{base .Key}}={{.Value}};{{end}}', "x=10.0.0.1;y=10.0.0.2;"),
        ('{{range gets "/no/*"}}x{{else}}none{{end}}', "none"),
        ('{{range $i, $v := getvs "/up/*"}}{{$i}}:{{$v}} {{end}}', "0:10.0.0.1 1:10.0.0.2 "),
        ('{{range $k, $v := json (getv "/json")}}{{$k}}{{$v}}{{end}}', "a1b2"),
        ('{{range json (getv "/json")}}{{.}}{{end}}', "12"),
        ('{{with getv "/a"}}<{{.}}>{{end}}', "<1>"),
        ('{{with getv "/no" ""}}<{{.}}>{{else}}-{{end}}', "-"),
        ('{{$x := getv "/a"}}{{$x}}', "1"),
        ('{{getv "/a" | printf "%03s|%s" "b"}}', "00b|1"),
        ('{{if and (exists "/a") (not (exists "/no"))}}both{{end}}', "both"),
        ('{{if eq (getv "/a") "0" "1"}}in{{end}}', "in"),
        ('{{(index (gets "/up/*") 0).Value}}', "10.0.0.1"),
        ('{{len (gets "/up/*")}} {{join (split "a,b" ",") "-"}}', "2 a-b"),
        ('{{if parseBool (getv "/flag")}}on{{end}}', "on"),
        ("{{add 1 (mul 2 3)}}", "7"),
        ('{{range ls "/up"}}{{range ls "/"}}{{.}} {{end}}{{.}};{{end}}',
         "a flag json up x;a flag json up y;"),
        ('{{define "s"}}[{{.}}]{{end}}{{range ls "/up"}}{{template "s" .}}{{end}}', "[x][y]"),
        ("${#A[@]} {% raw %} 100%", "${#A[@]} {% raw %} 100%"),
        ("{{range seq 1 9}}{{if gt . 2}}{{break}}{{end}}{{.}}{{end}}", "12"),
    ],
)  # fmt: skip
def test_a_converted_template_renders_what_the_original_did(go: str, output: str) -> None:
    made = converted(go)
    assert made.problems == ()
    assert rendered(made.text, KEYS) == output


@pytest.mark.parametrize(
    ("go", "line", "why"),
    [
        ('\n{{cgetv "/a"}}', 2, "cgetv: encrypted values are not supported"),
        ("\n\n{{nonsense 1}}", 3, "unknown function nonsense"),
        ("{{.Field}}", 1, "a dot outside of range and with has no value"),
        ('{{$x := 1}}{{range ls "/"}}\n{{$x = 2}}{{end}}', 2, "inside a loop: use namespace()"),
        ("\n{{if true}}", 2, "if has no end"),
        ("{{end}}", 1, "end closes nothing"),
        ('{{(datetime).Format "2006"}}', 1, "arguments after something that is not a function"),
        ('{{getv "/a"', 0, ""),
        ("{{(1}}", 1, "a parenthesis is not closed"),
        ("{{range $a, $b := .x}}{{end}}", 1, "a dot outside"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_converted_is_listed(go: str, line: int, why: str) -> None:
    problems = converted(go).problems
    if line:
        assert problems[0][0] == line
        assert why in problems[0][1]
    else:
        assert problems == ()
