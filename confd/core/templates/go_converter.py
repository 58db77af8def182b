"""Turns Go templates into Jinja2 templates, and lists the lines that must be converted by hand.

What cannot be converted becomes an undefined name, so that rendering fails there instead of
printing something wrong.
"""

import re
from dataclasses import dataclass, field

from confd.core.templates.go_expression import KNOWN_FUNCTIONS, convert_expression, variable_name
from confd.core.templates.go_parser import NotUnderstood, Piece, pieces

# Functions that return a map: Go ranges over a map in order of name.
_MAPS = {"json", "map", "dict", "fromJson"}
_RANGE = re.compile(r"(?:\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:=\s*)?(.*)", re.DOTALL)
_ASSIGN = re.compile(r"\$(\w+)\s*(:?=)\s*(.*)", re.DOTALL)
_MARKS = re.compile(r"\{[{%#]")


@dataclass(frozen=True, slots=True)
class Converted:
    """The Jinja2 template, and the lines of the Go template to convert by hand."""

    text: str
    problems: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class _Block:
    kind: str
    end: str
    dot: str
    line: int
    declared: set[str] = field(default_factory=set)


def converted(text: str) -> Converted:
    """Turn a Go template into a Jinja2 template."""
    writer = _TemplateWriter()
    for piece in pieces(text):
        writer.take(piece)
    for block in writer.blocks[1:]:
        writer.problems.append((block.line, f"{block.kind} has no end"))
    return Converted("".join(writer.out), tuple(writer.problems))


class _TemplateWriter:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.problems: list[tuple[int, str]] = []
        self.blocks = [_Block("", "", "", 0)]
        self._piece = Piece("", 1)

    def take(self, piece: Piece) -> None:
        """Write one piece in Jinja2."""
        self._piece = piece
        if not piece.is_action:
            # Text in the Go template that would open a tag in Jinja2.
            self.out.append(_MARKS.sub(lambda mark: f"{{{{ '{mark[0]}' }}}}", piece.text))
            return
        word, _, rest = piece.text.partition(" ")
        take = getattr(self, f"_take_{word}", None) if word.isidentifier() else None
        if piece.text.startswith("/*"):
            body = piece.text[2:-2].replace("#}", "# }")
            self._tag("{#", body, "#}", space="")
        elif take is not None:
            take(rest.strip())
        elif found := _ASSIGN.fullmatch(piece.text):
            self._assign(*found.groups())
        else:
            self._tag("{{", self._expression(piece.text), "}}")

    def _tag(self, opening: str, body: str, closing: str, space: str = " ") -> None:
        left, right = ("-" if each else "" for each in (self._piece.left, self._piece.right))
        self.out.append(f"{opening}{left}{space}{body}{space}{right}{closing}")

    def _statement(self, *bodies: str) -> None:
        for body in bodies:
            self._tag("{%", body, "%}")

    def _problem(self, why: str) -> None:
        self.problems.append((self._piece.line, why))

    @property
    def _dot(self) -> str:
        return self.blocks[-1].dot

    def _open(self, kind: str, end: str, dot: str | None = None) -> None:
        dot = self._dot if dot is None else dot
        self.blocks.append(_Block(kind, end, dot, self._piece.line))

    def _new_dot(self) -> str:
        depth = len({block.dot for block in self.blocks if block.dot})
        return f"it{depth + 1}" if depth else "it"

    def _take_if(self, rest: str) -> None:
        self._statement(f"if {self._expression(rest)}")
        self._open("if", "endif")

    def _take_else(self, rest: str) -> None:
        if rest.startswith("if "):
            self._statement(f"elif {self._expression(rest[3:])}")
        elif rest:
            self._problem(f"else {rest.split(maxsplit=1)[0]}: nest it by hand")
        else:
            self._statement("else")

    def _take_range(self, rest: str) -> None:
        match = _RANGE.fullmatch(rest)
        assert match is not None
        first, second, source = match.groups()
        items, name = self._expression(source), source.split(" ")[0]
        is_map = name in _MAPS
        dot = variable_name(second or first) if first else self._new_dot()
        if second and is_map:
            self._statement(f"for {variable_name(first)}, {dot} in ({items})|dictsort")
        elif second:
            self._statement(f"for {dot} in {items}", f"set {variable_name(first)} = loop.index0")
            if name not in KNOWN_FUNCTIONS:
                self._problem("range with two variables: if this is a map, use |dictsort")
        else:
            self._statement(f"for {dot} in {f'values({items})' if is_map else items}")
        self._open("range", "endfor", dot)
        self.blocks[-1].declared |= {name for name in (first, second) if name}

    def _take_with(self, rest: str) -> None:
        found = _ASSIGN.fullmatch(rest)
        dot = variable_name(found[1]) if found else self._new_dot()
        expression = self._expression(found[3] if found else rest)
        self._statement(f"with {dot} = {expression}", f"if {dot}")
        self._open("with", "endif endwith", dot)

    def _take_define(self, rest: str) -> None:
        self._statement(f"macro {_macro_name(rest)}(it)")
        self._open("define", "endmacro", "it")

    def _take_template(self, rest: str) -> None:
        name, _, argument = rest.partition(" ")
        value = self._expression(argument) if argument.strip() else "none"
        self._tag("{{", f"{_macro_name(name)}({value})", "}}")

    def _take_block(self, rest: str) -> None:
        del rest
        self._problem("block: use {% block %} and inheritance")
        self._statement("if true")
        self._open("block", "endif")

    def _take_end(self, rest: str) -> None:
        del rest
        if len(self.blocks) == 1:
            self._problem("this end closes nothing")
            return
        self._statement(*self.blocks.pop().end.split())

    def _take_break(self, rest: str) -> None:
        del rest
        self._statement("break")

    def _take_continue(self, rest: str) -> None:
        del rest
        self._statement("continue")

    def _assign(self, name: str, sign: str, value: str) -> None:
        if sign == ":=":
            self.blocks[-1].declared.add(name)
        else:
            for block in reversed(self.blocks):
                if name in block.declared:
                    break
                if block.kind == "range":
                    self._problem(f"${name} is set inside a loop: use namespace()")
                    break
        self._statement(f"set {variable_name(name)} = {self._expression(value)}")

    def _expression(self, text: str) -> str:
        try:
            return convert_expression(text, self._dot)
        except NotUnderstood as error:
            self._problem(str(error))
            return f"not_converted_in_line_{self._piece.line}"


def _macro_name(quoted: str) -> str:
    name = re.sub(r"\W", "_", quoted.strip().strip('"`'))
    return f"t_{name}"
