"""Go templates turned into ours, and a list of what needs a hand.

What cannot be turned becomes an undefined name, so that rendering fails there instead of
printing something else.
"""

import json
import keyword
import re
from dataclasses import dataclass, field

from confd.core.templates import functions, text_functions
from confd.core.templates.go_parser import (
    Call,
    NotUnderstood,
    Piece,
    Pipeline,
    Token,
    pieces,
    pipeline,
    unquoted,
)
from confd.core.templates.go_parser import tokens as tokens_of

_KEYED = ("get", "getv", "exists", "gets", "getvs", "ls", "lsdir", "getenv", "datetime", "unixTS")
_HOST = ("lookupIP", "lookupIPV4", "lookupIPV6", "lookupSRV", "lookupIfaceIPV4")
_KNOWN = {*functions.PLAIN, *text_functions.PLAIN, *_KEYED, *_HOST}
_KNOWN |= {"lookupIfaceIPV6", "fileExists", "hostname"}
_COMPARED = {"ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
# What answers with a map: Go ranges over it in order of name.
_MAPS = {"json", "map", "dict", "fromJson"}
_CRYPT = {"cget", "cgets", "cgetv", "cgetvs"}
_TAKEN = {"loop", "self", "item", "super", "varargs", "kwargs", "caller", "none", "true", "false"}
_RANGE = re.compile(r"(?:\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:=\s*)?(.*)", re.DOTALL)
_ASSIGN = re.compile(r"\$(\w+)\s*(:?=)\s*(.*)", re.DOTALL)
_MARKS = re.compile(r"\{[{%#]")


@dataclass(frozen=True, slots=True)
class Converted:
    """Our template, and the lines of the other one that need a hand."""

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
    """Turn a Go template into one of ours."""
    writer = _Writer()
    for piece in pieces(text):
        writer.take(piece)
    for block in writer.blocks[1:]:
        writer.problems.append((block.line, f"{block.kind} has no end"))
    return Converted("".join(writer.out), tuple(writer.problems))


class _Writer:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.problems: list[tuple[int, str]] = []
        self.blocks = [_Block("", "", "", 0)]
        self._piece = Piece("", 1)

    def take(self, piece: Piece) -> None:
        """Write one piece in its new form."""
        self._piece = piece
        if not piece.is_action:
            # Marks that are plain text to Go and open something here.
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
        dot = _variable(second or first) if first else self._new_dot()
        if second and is_map:
            self._statement(f"for {_variable(first)}, {dot} in ({items})|dictsort")
        elif second:
            self._statement(f"for {dot} in {items}", f"set {_variable(first)} = loop.index0")
            if name not in _KNOWN:
                self._problem("range with two variables: if this is a map, use |dictsort")
        else:
            self._statement(f"for {dot} in {f'values({items})' if is_map else items}")
        self._open("range", "endfor", dot)
        self.blocks[-1].declared |= {name for name in (first, second) if name}

    def _take_with(self, rest: str) -> None:
        found = _ASSIGN.fullmatch(rest)
        dot = _variable(found[1]) if found else self._new_dot()
        expression = self._expression(found[3] if found else rest)
        self._statement(f"with {dot} = {expression}", f"if {dot}")
        self._open("with", "endif endwith", dot)

    def _take_define(self, rest: str) -> None:
        self._statement(f"macro {self._macro(rest)}(it)")
        self._open("define", "endmacro", "it")

    def _take_template(self, rest: str) -> None:
        name, _, argument = rest.partition(" ")
        value = self._expression(argument) if argument.strip() else "none"
        self._tag("{{", f"{self._macro(name)}({value})", "}}")

    def _take_block(self, rest: str) -> None:
        del rest
        self._problem("block: use {% block %} and inheritance")
        self._statement("if true")
        self._open("block", "endif")

    def _take_end(self, rest: str) -> None:
        del rest
        if len(self.blocks) == 1:
            self._problem("end closes nothing")
            return
        self._statement(*self.blocks.pop().end.split())

    def _take_break(self, rest: str) -> None:
        del rest
        self._statement("break")

    def _take_continue(self, rest: str) -> None:
        del rest
        self._statement("continue")

    def _macro(self, quoted: str) -> str:
        name = re.sub(r"\W", "_", quoted.strip().strip('"`'))
        return f"t_{name}"

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
        self._statement(f"set {_variable(name)} = {self._expression(value)}")

    def _expression(self, text: str) -> str:
        try:
            return self._pipeline(pipeline(tokens_of(text)))
        except NotUnderstood as error:
            self._problem(str(error))
            return f"not_converted_in_line_{self._piece.line}"

    def _pipeline(self, found: Pipeline) -> str:
        result = self._call(found.calls[0], ())
        for call in found.calls[1:]:
            result = self._call(call, (result,))
        return f"({result}){found.fields}" if found.fields else result

    def _call(self, call: Call, piped: tuple[str, ...]) -> str:
        arguments = [*map(self._operand, call.arguments), *piped]
        head = call.head
        if isinstance(head, Token) and head.kind == "name":
            return self._function(head.text, arguments)
        value = self._operand(head)
        if not arguments:
            return value
        if isinstance(head, Token) and head.kind in {"field", "variable"}:
            raise NotUnderstood(f"a method with arguments: {head.text}")
        raise NotUnderstood("arguments for what is no function")

    def _operand(self, found: Token | Pipeline) -> str:
        if isinstance(found, Pipeline):
            inner = self._pipeline(found)
            return inner if found.fields or inner.endswith(")") else f"({inner})"
        match found.kind:
            case "string":
                return json.dumps(unquoted(found.text), ensure_ascii=False)
            case "number":
                return found.text
            case "variable":
                return self._variable(found.text)
            case "field":
                return self._here() + found.text
            case "mark":
                return self._here()
            case "name":
                return self._function(found.text, [])
            case _:
                raise NotUnderstood(f"{found.text}: write it as text or number")

    def _here(self) -> str:
        if not self._dot:
            raise NotUnderstood("a dot outside of range and with has no value")
        return self._dot

    def _variable(self, text: str) -> str:
        name, dot, fields = text[1:].partition(".")
        if not name:
            raise NotUnderstood("$ has no value")
        return _variable(name) + dot + fields

    def _function(self, name: str, arguments: list[str]) -> str:
        match name, arguments:
            case (("true" | "false"), []):
                return name
            case "nil", []:
                return "none"
            case (("and" | "or"), [_, *_]):
                return f"({f' {name} '.join(arguments)})"
            case "not", [one]:
                return f"(not {one})"
            case "eq", [left, right]:
                return f"({left} == {right})"
            case "eq", [left, *rest] if rest:
                return f"({left} in ({', '.join(rest)}))"
            case (("ne" | "lt" | "le" | "gt" | "ge"), [left, right]):
                return f"({left} {_COMPARED[name]} {right})"
            case (("print"), [_, *_]):
                return f"({' ~ '.join(arguments)})"
            case _ if name in _CRYPT:
                raise NotUnderstood(f"{name}: encrypted values are not there")
            case _ if name not in _KNOWN:
                raise NotUnderstood(f"unknown function {name}")
            case _:
                return f"{name}({', '.join(arguments)})"


def _variable(name: str) -> str:
    is_taken = name in _KNOWN | _TAKEN or keyword.iskeyword(name) or name.startswith("it")
    return f"{name}_" if is_taken else name
