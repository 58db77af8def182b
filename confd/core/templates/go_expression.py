"""Turns an expression of a Go template into one of Jinja2."""

import json
import keyword
from dataclasses import dataclass

from confd.core.templates import functions, text_functions
from confd.core.templates.go_parser import (
    Call,
    NotUnderstood,
    Pipeline,
    Token,
    pipeline,
    tokens,
    unquoted,
)

_KEYED = ("get", "getv", "exists", "gets", "getvs", "ls", "lsdir", "getenv", "datetime", "unixTS")
_HOST = ("lookupIP", "lookupIPV4", "lookupIPV6", "lookupSRV", "lookupIfaceIPV4")
KNOWN_FUNCTIONS = {*functions.PLAIN, *text_functions.PLAIN, *_KEYED, *_HOST}
KNOWN_FUNCTIONS |= {"lookupIfaceIPV6", "fileExists", "hostname"}
_COMPARISONS = {"ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_CRYPT = {"cget", "cgets", "cgetv", "cgetvs"}
_RESERVED = {"loop", "self", "item", "super", "varargs", "kwargs", "caller", "none", "true"}
_RESERVED |= {"false"}


def convert_expression(text: str, dot: str) -> str:
    """Return the Jinja2 form; `dot` is the variable for Go's dot. Raises NotUnderstood."""
    return _Expression(dot).pipeline(pipeline(tokens(text)))


def variable_name(name: str) -> str:
    """Return the Jinja2 name of a Go variable; a name that is taken gets an underscore."""
    is_taken = (
        name in KNOWN_FUNCTIONS | _RESERVED or keyword.iskeyword(name) or name.startswith("it")
    )
    return f"{name}_" if is_taken else name


@dataclass(frozen=True, slots=True)
class _Expression:
    dot: str

    def pipeline(self, found: Pipeline) -> str:
        result = self._call(found.calls[0], ())
        for call in found.calls[1:]:
            result = self._call(call, (result,))
        return f"({result}){found.fields}" if found.fields else result

    def _call(self, call: Call, piped: tuple[str, ...]) -> str:
        arguments = [*map(self._operand, call.arguments), *piped]
        head = call.head
        if isinstance(head, Token) and head.kind == "name":
            return _function(head.text, arguments)
        value = self._operand(head)
        if not arguments:
            return value
        if isinstance(head, Token) and head.kind in {"field", "variable"}:
            raise NotUnderstood(f"a method with arguments: {head.text}")
        raise NotUnderstood("arguments after something that is not a function")

    def _operand(self, found: Token | Pipeline) -> str:
        if isinstance(found, Pipeline):
            inner = self.pipeline(found)
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
                return _function(found.text, [])
            case _:
                raise NotUnderstood(f"{found.text}: write it as text or number")

    def _here(self) -> str:
        if not self.dot:
            raise NotUnderstood("a dot outside of range and with has no value")
        return self.dot

    def _variable(self, text: str) -> str:
        name, dot, fields = text[1:].partition(".")
        if not name:
            raise NotUnderstood("$ has no value")
        return variable_name(name) + dot + fields


def _function(name: str, arguments: list[str]) -> str:
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
            return f"({left} {_COMPARISONS[name]} {right})"
        case (("print"), [_, *_]):
            return f"({' ~ '.join(arguments)})"
        case _ if name in _CRYPT:
            raise NotUnderstood(f"{name}: encrypted values are not supported")
        case _ if name not in KNOWN_FUNCTIONS:
            raise NotUnderstood(f"unknown function {name}")
        case _:
            return f"{name}({', '.join(arguments)})"
