"""The files below share/: man pages and completions of every program, made from the code."""

from pathlib import Path

from rig.commandline.command_tree import programs, read_program
from rig.processes import ROOT
from tests.docs.commandline.bash_completion import bash_completion
from tests.docs.commandline.fish_completion import fish_completion
from tests.docs.commandline.man_page import man_page, section_of
from tests.docs.commandline.zsh_completion import zsh_completion

# The wheel installs this directory as PREFIX/share.
SHARE = ROOT / "share"


def files() -> dict[Path, str]:
    """Return the content of each file, by its path below SHARE."""
    found: dict[Path, str] = {}
    for name in programs():
        program = read_program(name)
        section = section_of(name)
        found[Path(f"man/man{section}/{name}.{section}")] = man_page(program)
        found[Path(f"bash-completion/completions/{name}")] = bash_completion(program)
        found[Path(f"zsh/site-functions/_{name}")] = zsh_completion(program)
        found[Path(f"fish/vendor_completions.d/{name}.fish")] = fish_completion(program)
    return found


def write() -> None:
    """Write all files."""
    for path, text in files().items():
        (SHARE / path).parent.mkdir(parents=True, exist_ok=True)
        (SHARE / path).write_text(text)


if __name__ == "__main__":
    write()
