"""The man pages and completions in share/ are up to date, and the man pages are valid."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from rig.commandline.command_tree import programs
from rig.processes import require
from tests.docs.commandline import generate

REMEDY = "share/ is out of date: run `make reference`"
PAGES = sorted((generate.SHARE / "man").glob("man?/*"))
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "SEE ALSO"]


def test_the_generated_files_are_up_to_date() -> None:
    generated = generate.files()
    written = {
        path.relative_to(generate.SHARE): path.read_text()
        for path in generate.SHARE.rglob("*")
        if path.is_file()
    }
    assert written.keys() == generated.keys(), REMEDY
    assert [path for path in generated if generated[path] != written[path]] == [], REMEDY


def test_every_program_has_a_page() -> None:
    assert {path.stem for path in PAGES} == set(programs())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_groff_formats_a_page_without_warnings(page: Path) -> None:
    require("groff")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z", str(page)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_man_shows_a_page_with_its_sections(page: Path) -> None:
    require("man")
    variables = {**os.environ, "MANWIDTH": "80", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["man", "--warnings", "-P", "cat", "-l", str(page)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Bold is written as a letter, a backspace and the letter again.
    plain = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    titles = re.findall(r"^([A-Z][A-Z ]+)$", plain, re.MULTILINE)
    assert [title for title in titles if title in SECTIONS] == SECTIONS


def test_a_page_of_a_program_with_commands_describes_each_command() -> None:
    text = (generate.SHARE / "man/man1/coordctl.1").read_text()
    assert '.SS "member add"' in text
    assert "\\fB\\-\\-ttl\\fR \\fISECONDS\\fR" in text
