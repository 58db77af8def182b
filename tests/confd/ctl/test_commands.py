"""The commands of `confd` besides the daemon."""

import json
import subprocess
from pathlib import Path

import pytest

from rig.processes import free_port, python, run
from tests.confd.confdir_fixture import Confdir

RUN_S = 30


class CommandSite:
    """A confdir whose keys come from a file."""

    def __init__(self, directory: Path) -> None:
        self.confdir = Confdir(directory)
        self.keys = directory / "keys.yaml"
        self.keys.write_text("app:\n  v: 1\n")

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        common = ["--confdir", str(self.confdir.path), "--source", f"env,file:{self.keys}"]
        if name in {"test", "convert"}:
            common = common[:2] if name == "test" else []
        return run(python("confd", name, *common, *arguments), timeout_s=RUN_S)


@pytest.fixture
def site(tmp_path: Path) -> CommandSite:
    return CommandSite(tmp_path)


def test_noop_shows_a_diff_and_exits_4_until_nothing_would_change(site: CommandSite) -> None:
    dest = site.confdir.add("a", "v={{ getv('/app/v') }}\nsame\n", 'mode = "0640"')
    dest.write_text("v=0\nsame\n")
    done = site.run("noop", "--color")
    assert done.returncode == 4
    assert f"would change {dest} from 0644" in done.stdout
    assert "\x1b[31m-v=0\x1b[0m\n\x1b[32m+v=1\x1b[0m\n same\n" in done.stdout
    assert dest.read_text() == "v=0\nsame\n"
    assert "\x1b" not in site.run("noop").stdout
    assert site.run("--onetime").returncode == 0
    done = site.run("noop")
    assert (done.returncode, done.stdout) == (0, "")


def test_noop_reports_a_resource_that_cannot_be_rendered(site: CommandSite) -> None:
    site.confdir.add("a", "{{ getv('/app/none') }}")
    done = site.run("noop")
    assert done.returncode == 1
    assert "key '/app/none' is absent" in done.stdout


def test_noop_without_its_store_exits_3(site: CommandSite) -> None:
    site.confdir.add("a", "x")
    url = f"http://127.0.0.1:{free_port()}"
    done = site.run("noop", "--source", "store", "--endpoints", url)
    assert done.returncode == 3


def test_why_shows_the_keys_of_a_file_but_no_values(site: CommandSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v') }}{{ getv('/app/n', '') }}{{ ls('/app') }}")
    done = site.run("why", str(dest))
    assert done.stdout.splitlines() == [
        str(dest),
        "  resource  conf.d/a.toml",
        "  template  a.j2",
        "  key       /app/v",
        "  absent    /app",
        "  absent    /app/n",
        "  listing   /app",
    ]
    done = site.run("why", "/no/such")
    assert done.returncode == 1
    assert "no resource writes /no/such" in done.stderr


def test_the_graph_is_printed_for_graphviz_and_as_json(site: CommandSite) -> None:
    dest = site.confdir.add("a", "{{ gets('/app/*') }}")
    assert f'"/app/*" -> "{dest}";' in site.run("graph").stdout
    [fact] = json.loads(site.run("graph", "--json").stdout)
    assert (fact["globs"], fact["dests"]) == (["/app/*"], [str(dest)])


CASES = """
[[case]]
name = "a value"
resource = "a.toml"
keys = { "/app/v" = "1" }
output = "v=1 "

[[case]]
name = "golden"
resource = "a.toml"
keys = { "/app/v" = "2" }
env = { HOME = "/h" }
golden = "two.golden"

[[case]]
name = "a pattern"
resource = "a.toml"
keys = { "/app/v" = "33" }
matches = "^v=3+"

[[case]]
name = "no key"
resource = "a.toml"
error = "key '/app/v' is absent"
"""


def test_the_test_command_runs_the_cases_of_a_resource(site: CommandSite) -> None:
    site.confdir.add("a", "v={{ getv('/app/v') }} {{ getenv('HOME') }}")
    cases = site.confdir.path / "tests"
    cases.mkdir()
    (cases / "a.toml").write_text(CASES)
    (cases / "two.golden").write_text("v=2 /h")
    done = site.run("test")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("4 ok, 0 failed\n")
    (cases / "two.golden").write_text("v=3 /h")
    done = site.run("test")
    assert done.returncode == 1
    assert "FAIL  a.toml: golden\n--- expected\n+++ rendered" in done.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "[[case]]\nname = 'x'\nresource = 'a.toml'\n",
            "needs exactly one of output golden matches error",
        ),
        ("[[case]]\nname = 'x'\nresouce = 'a'\n", "resouce"),
        ("nonsense", "not TOML"),
        ("", "no cases"),
    ],
)
def test_invalid_cases_are_reported(site: CommandSite, text: str, reason: str) -> None:
    site.confdir.add("a", "x")
    (site.confdir.path / "tests").mkdir()
    (site.confdir.path / "tests" / "a.toml").write_text(text)
    done = site.run("test")
    assert done.returncode == 2
    assert reason in done.stderr


def test_convert_prints_the_template_and_lists_the_lines_it_cannot_convert(
    site: CommandSite, tmp_path: Path
) -> None:
    path = tmp_path / "a.tmpl"
    path.write_text('{{getv "/a"}}\n')
    done = site.run("convert", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, '{{ getv("/a") }}\n', "")
    path.write_text('x\n{{cgetv "/a"}}\n')
    done = site.run("convert", str(path))
    assert done.returncode == 1
    assert done.stderr == f"{path}:2: cgetv: encrypted values are not supported\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [("consul", "'consul' is not a source: use env"), ("env,env", "name each")],
)
def test_an_invalid_source_exits_with_2(site: CommandSite, source: str, reason: str) -> None:
    done = site.run("noop", "--source", source)
    assert done.returncode == 2
    assert reason in done.stderr


def test_daemon_options_in_front_of_a_command_are_rejected(site: CommandSite) -> None:
    command = python("confd", "--confdir", str(site.confdir.path), "noop")
    done = run(command)
    assert done.returncode == 2
    assert "write the options of noop after its name" in done.stderr


def test_the_configuration_file_of_the_daemon_does_not_reach_a_command(
    site: CommandSite, tmp_path: Path
) -> None:
    (tmp_path / "confd.toml").write_text('noop = true\nconfdir = "/no/such"\n')
    site.confdir.add("a", "x")
    command = python("confd", "graph", "--source", "env", "--confdir", str(site.confdir.path))
    done = run(command, CONFD_CONFIG=str(tmp_path / "confd.toml"))
    assert (done.returncode, done.stderr) == (0, "")
