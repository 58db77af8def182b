"""The commands beside the daemon, as they are called."""

import json
import subprocess
from pathlib import Path

import pytest

from rig.processes import ROOT, free_port, python
from tests.confd.confdir_fixture import Confdir

RUN_S = 30


class World:
    """A confdir whose keys come from a file."""

    def __init__(self, directory: Path) -> None:
        self.confdir = Confdir(directory)
        self.keys = directory / "keys.yaml"
        self.keys.write_text("app:\n  v: 1\n")

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        common = ["--confdir", str(self.confdir.path), "--source", f"env,file:{self.keys}"]
        if name in {"test", "convert"}:
            common = common[:2] if name == "test" else []
        return subprocess.run(
            python("confd", name, *common, *arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_noop_shows_a_diff_and_exits_4_until_nothing_would_change(world: World) -> None:
    dest = world.confdir.add("a", "v={{ getv('/app/v') }}\nsame\n", 'mode = "0640"')
    dest.write_text("v=0\nsame\n")
    done = world.run("noop", "--color")
    assert done.returncode == 4
    assert f"would change {dest} from 0644" in done.stdout
    assert "\x1b[31m-v=0\x1b[0m\n\x1b[32m+v=1\x1b[0m\n same\n" in done.stdout
    assert dest.read_text() == "v=0\nsame\n"
    assert "\x1b" not in world.run("noop").stdout
    assert world.run("--onetime").returncode == 0
    done = world.run("noop")
    assert (done.returncode, done.stdout) == (0, "")


def test_noop_says_what_cannot_be_rendered(world: World) -> None:
    world.confdir.add("a", "{{ getv('/app/none') }}")
    done = world.run("noop")
    assert done.returncode == 1
    assert "key '/app/none' is absent" in done.stdout


def test_noop_without_its_store_exits_3(world: World) -> None:
    world.confdir.add("a", "x")
    url = f"http://127.0.0.1:{free_port()}"
    done = world.run("noop", "--source", "store", "--endpoints", url)
    assert done.returncode == 3


def test_why_names_what_a_file_hangs_on_and_no_value(world: World) -> None:
    dest = world.confdir.add("a", "{{ getv('/app/v') }}{{ getv('/app/n', '') }}{{ ls('/app') }}")
    done = world.run("why", str(dest))
    assert done.stdout.splitlines() == [
        str(dest),
        "  resource  conf.d/a.toml",
        "  template  a.j2",
        "  key       /app/v",
        "  absent    /app",
        "  absent    /app/n",
        "  listing   /app",
    ]
    done = world.run("why", "/no/such")
    assert done.returncode == 1
    assert "no resource makes /no/such" in done.stderr


def test_the_graph_is_for_graphviz_and_for_programs(world: World) -> None:
    dest = world.confdir.add("a", "{{ gets('/app/*') }}")
    assert f'"/app/*" -> "{dest}";' in world.run("graph").stdout
    [fact] = json.loads(world.run("graph", "--json").stdout)
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


def test_a_resource_is_tried_with_its_own_cases(world: World) -> None:
    world.confdir.add("a", "v={{ getv('/app/v') }} {{ getenv('HOME') }}")
    cases = world.confdir.path / "tests"
    cases.mkdir()
    (cases / "a.toml").write_text(CASES)
    (cases / "two.golden").write_text("v=2 /h")
    done = world.run("test")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("4 ok, 0 failed\n")
    (cases / "two.golden").write_text("v=3 /h")
    done = world.run("test")
    assert done.returncode == 1
    assert "FAIL  a.toml: golden\n--- wanted\n+++ rendered" in done.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[case]]\nname = 'x'\nresource = 'a.toml'\n", "needs one of output golden matches error"),
        ("[[case]]\nname = 'x'\nresouce = 'a'\n", "resouce"),
        ("nonsense", "not TOML"),
        ("", "no cases"),
    ],
)
def test_wrong_cases_are_told(world: World, text: str, reason: str) -> None:
    world.confdir.add("a", "x")
    (world.confdir.path / "tests").mkdir()
    (world.confdir.path / "tests" / "a.toml").write_text(text)
    done = world.run("test")
    assert done.returncode == 2
    assert reason in done.stderr


def test_convert_prints_the_template_and_lists_what_it_could_not(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "a.tmpl"
    path.write_text('{{getv "/a"}}\n')
    done = world.run("convert", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, '{{ getv("/a") }}\n', "")
    path.write_text('x\n{{cgetv "/a"}}\n')
    done = world.run("convert", str(path))
    assert done.returncode == 1
    assert done.stderr == f"{path}:2: cgetv: encrypted values are not there\n"


@pytest.mark.parametrize(
    ("source", "reason"), [("consul", "'consul' is none of env"), ("env,env", "name each")]
)
def test_a_wrong_source_is_wrong_use(world: World, source: str, reason: str) -> None:
    done = world.run("noop", "--source", source)
    assert done.returncode == 2
    assert reason in done.stderr
