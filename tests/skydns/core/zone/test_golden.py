"""Answers as transcripts: keys and questions, and what is said to them.

A file is blocks of commands, `----`, and the lines they print; a block ends at an empty line.
`set KEY VALUE`, `expire KEY SECONDS` (from now), `del KEY`, `dig NAME TYPE [TURN]`, `bad`,
`blind`, `seeing`, `option NAME VALUE`. `pytest --rewrite` records the lines anew where that
option exists.
"""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from coordinator.client.core.view import Changes
from rig.dns_packets import NOW_S, SETTINGS, ask, entry
from skydns.core.dns import name as names
from skydns.core.dns.rr import describe
from skydns.core.zone.answer import Answer
from skydns.core.zone.lookup import World
from skydns.core.zone.zone import Zone

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


class Script:
    """The world of one file."""

    def __init__(self) -> None:
        self.world = World(Zone("/skydns"), SETTINGS, NOW_S)
        self.values: dict[str, str] = {}
        self.index = 0
        self._change()

    def run(self, command: str) -> list[str]:
        verb, _, rest = command.partition(" ")
        key, _, argument = rest.partition(" ")
        match verb:
            case "set":
                self.values[key] = argument
                self._change(entries=(entry(key, argument),))
            case "expire":
                at = NOW_S + float(argument)
                self._change(entries=(entry(key, self.values[key], at),))
            case "del":
                self._change(removed=(key,))
            case "dig":
                kind, _, turn = argument.partition(" ")
                return said(ask(self.world, key, kind, int(turn or 0)))
            case "bad":
                return [f"{bad.key}: {bad.reason}" for bad in self.world.zone.bad.values()]
            case "blind" | "seeing":
                self.world = replace(self.world, blind=verb == "blind")
            case "option":
                self._option(key, argument)
            case _:
                raise ValueError(f"no such command: {command}")
        return []

    def _option(self, name: str, text: str) -> None:
        value = json.loads(text)
        if name == "domains":
            value = tuple(names.parse(each) for each in value)
        elif name in {"hostmaster", "local"}:
            value = names.parse(value)
        settings = msgspec.structs.replace(self.world.settings, **{name: value})
        self.world = replace(self.world, settings=settings)

    def _change(self, **changes: object) -> None:
        self.index += 1
        self.world.zone.apply(Changes("c", self.index, **changes))


def said(answer: Answer) -> list[str]:
    lines = [answer.rcode.name + (" aa" if answer.authoritative else "")]
    for section in ("answer", "authority", "additional"):
        for rrset in getattr(answer, section):
            lines += [f"{section:10} {line}" for line in describe(rrset)]
    return lines


def replay(text: str) -> str:
    """Return the file as it would be if what is said now were right."""
    script, out = Script(), []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for each in commands if not each.startswith("#") for line in script.run(each)]
        expected = ["----", *lines] if "\n----" in block or lines else []
        out.append("\n".join([*commands, *expected]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_transcript_is_answered_as_it_was_recorded(
    path: Path, request: pytest.FixtureRequest
) -> None:
    recorded = path.read_text()
    now = replay(recorded)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(now)
    else:
        assert now == recorded
