"""`python -m tests.docs.reference`: generate docs/reference/ from the code."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from coordinator.core.v2api import routes
from daemonkit.core.api_routes import ApiRoute
from daemonkit.observe import process_counters, status_page
from locksmith.core import fleetlock_protocol
from rig.commandline.command_tree import programs
from rig.processes import ROOT
from slashetc.agent import join_server
from tests.docs import bounds, documents, rooms, scraped
from tests.docs.programs import helps
from vulcan.core.control import api_routes

DIRECTORY = ROOT / "docs/reference"
_MADE = "<!-- Made by `make reference`; change the code, not this page. -->"


def commands() -> str:
    """Return the page of all programs' `--help`."""
    parts = [_opened("Programs and options", "Each `--help`, as the program prints it.")]
    for program in programs():
        for line, text in helps(program):
            parts.append(f"{'##' if line == program else '###'} {line}\n\n```text\n{text}```\n")
    return "\n".join(parts)


def keys() -> str:
    """Return the page of all keys."""
    about = (
        "What each daemon keeps in the store. Words in capitals stand for values; documents are\n"
        "JSON. confd reads the keys that its templates name. An *extension* is a field that the\n"
        "original program does not have."
    )
    return f"{_opened('Keys', about)}\n{documents.page()}"


def http() -> str:
    """Return the page of all HTTP servers."""
    about = (
        "Words in capitals stand for values. The page of each program describes its options. "
        "An *extension* is a path that the original program does not have."
    )
    servers = (
        ("coordinator, client port", routes.CLIENT),
        ("coordinator, peer port", routes.PEER),
        ("vulcand's API", api_routes.ROUTES),
        ("locksmith-fleetlock", fleetlock_protocol.ROUTES),
        ("the join endpoint of slashetc's agent", join_server.ROUTES),
        ("the status page of every daemon", status_page.ROUTES),
    )
    parts = [f"## {name}\n\n{_routes(served)}" for name, served in servers]
    return "\n".join([_opened("HTTP", about), *parts])


def metrics(families: dict[str, list[scraped.Family]]) -> str:
    """Return the page of all metrics."""
    about = (
        "Each status page serves these at `/metrics`, with the `process_*` and `python_*` metrics\n"
        "of the process. A metric with labels appears once its labels have a value."
    )
    parts = [_opened("Metrics", about)]
    parts.append("## Every daemon\n\n| metric | kind | labels | what |\n|---|---|---|---|")
    for name, label, text in (process_counters.ERRORS, process_counters.CUT):
        parts.append(f"| `{name}` | counter | `{label}` | {text} |")
    parts.append("")
    for daemon, found in families.items():
        parts.append(f"## {daemon}\n\n| metric | kind | labels | what |\n|---|---|---|---|")
        for name, kind, text, labels in found:
            named = " ".join(f"`{label}`" for label in labels)
            parts.append(f"| `{name}` | {kind} | {named} | {text} |")
        parts.append("")
    return "\n".join(parts)


def _opened(title: str, about: str) -> str:
    return f"{_MADE}\n\n# {title}\n\n{about}\n"


def _routes(served: Iterable[ApiRoute]) -> str:
    lines = [f"| {each.methods} | `{each.path}` | {each.about} |" for each in served]
    return "\n".join(["| method | path | what |", "|---|---|---|", *lines, ""])


def main() -> None:
    """Write all pages, the rooms into the map, and the bounds into the page of operations."""
    rooms.PAGE.write_text(rooms.page())
    bounds.PAGE.write_text(bounds.page())
    DIRECTORY.mkdir(exist_ok=True)
    for page in (commands, keys, http):
        (DIRECTORY / f"{page.__name__}.md").write_text(page())
    with tempfile.TemporaryDirectory() as directory:
        (DIRECTORY / "metrics.md").write_text(metrics(scraped.families(Path(directory))))


if __name__ == "__main__":
    main()
