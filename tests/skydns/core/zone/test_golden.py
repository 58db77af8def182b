"""Transcripts of keys, questions and their answers.

A file consists of blocks: commands, `----`, and the lines that they print. An empty line ends a
block. The commands are `set KEY VALUE`, `expire KEY SECONDS` (from now), `del KEY`,
`dig NAME TYPE [ROTATION]`, `invalid`, `store down`, `store up` and `option NAME VALUE`.
`pytest --rewrite` records the lines again.
"""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from coordinator.client.core.view import Changes
from rig.dns_packets import CONFIG, NOW_S, ask, entry
from skydns.core.dns import name as names
from skydns.core.dns.rr import describe
from skydns.core.zone.answer import Answer
from skydns.core.zone.lookup import Snapshot
from skydns.core.zone.zone import Zone

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


class Script:
    """The zone and the options of one file."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(Zone("/skydns"), CONFIG, NOW_S)
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
                rtype, _, rotation = argument.partition(" ")
                return shown(ask(self.snapshot, key, rtype, int(rotation or 0)))
            case "invalid":
                return [
                    f"{key.key}: {key.reason}" for key in self.snapshot.zone.invalid_keys.values()
                ]
            case "store":
                self.snapshot = replace(self.snapshot, store_down=key == "down")
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
        config = msgspec.structs.replace(self.snapshot.config, **{name: value})
        self.snapshot = replace(self.snapshot, config=config)

    def _change(self, **changes: object) -> None:
        self.index += 1
        self.snapshot.zone.apply(Changes("c", self.index, **changes))


def shown(answer: Answer) -> list[str]:
    lines = [answer.rcode.name + (" aa" if answer.authoritative else "")]
    for section in ("answer", "authority", "additional"):
        for rrset in getattr(answer, section):
            lines += [f"{section:10} {line}" for line in describe(rrset)]
    return lines


def replay(text: str) -> str:
    """Return the file as it would be if the answers of now were right."""
    script, out = Script(), []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for each in commands if not each.startswith("#") for line in script.run(each)]
        expected = ["----", *lines] if "\n----" in block or lines else []
        out.append("\n".join([*commands, *expected]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_transcript_gives_the_recorded_answers(
    path: Path, request: pytest.FixtureRequest
) -> None:
    recorded = path.read_text()
    now = replay(recorded)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(now)
    else:
        assert now == recorded
