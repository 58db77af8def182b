"""Failover predicates and breaker conditions: two small languages, compiled to functions.

Failover: `IsNetworkError()`, `Attempts()`, `ResponseCode()`, `RequestMethod()`. Breakers:
`NetworkErrorRatio()`, `LatencyAtQuantileMS(50.0)`, `ResponseCodeRatio(500, 600, 0, 600)`,
`RequestThreshold()`. Both compare calls with literals of the right type, and join with && and ||.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vulcan.core.balancing.sliding_window import SlidingWindow
from vulcan.core.routing.expression import (
    AllOf,
    AnyOf,
    Call,
    Compare,
    ExpressionError,
    Literal,
    Node,
    Not,
    parse,
)

_F = TypeVar("_F")

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a request, as a failover predicate sees it."""

    network_error: bool
    number: int  # from 1
    status: int  # what the client would get
    method: str


@dataclass(frozen=True, slots=True)
class _Function(Generic[_F]):
    """One row of a language: the arguments of a call, the type of its value, and the value."""

    takes: tuple[type, ...]
    returns: type
    value: Callable[..., Any]


_FAILOVER: Mapping[str, _Function[Attempt]] = {
    "IsNetworkError": _Function((), bool, lambda attempt: attempt.network_error),
    "Attempts": _Function((), int, lambda attempt: attempt.number),
    "ResponseCode": _Function((), int, lambda attempt: attempt.status),
    "RequestMethod": _Function((), str, lambda attempt: attempt.method),
}
_BREAKER: Mapping[str, _Function[SlidingWindow]] = {
    "NetworkErrorRatio": _Function((), float, lambda window: window.network_error_ratio()),
    "LatencyAtQuantileMS": _Function(
        (float,), int, lambda window, percent: int(window.latency_s(percent / 100) * 1000)
    ),
    "ResponseCodeRatio": _Function(
        (int, int, int, int), float, lambda window, *bounds: window.code_ratio(*bounds)
    ),
    "RequestThreshold": _Function((), int, lambda window: window.total),
}


@dataclass(frozen=True, slots=True)
class FailoverPredicate:
    """A compiled failover predicate."""

    text: str
    asks_method: bool  # it may allow methods that are not idempotent
    holds: Callable[[Attempt], bool]


def compile_failover_predicate(text: str) -> FailoverPredicate:
    """Compile a failover predicate. Raises ExpressionError."""
    tree = parse(text, example="IsNetworkError() && Attempts() <= 2")
    return FailoverPredicate(text, "RequestMethod" in text, _compiled(tree, _FAILOVER))


def compile_condition(text: str) -> Callable[[SlidingWindow], bool]:
    """Compile a breaker's condition. Raises ExpressionError."""
    return _compiled(parse(text, example="NetworkErrorRatio() > 0.5"), _BREAKER)


def _compiled(node: Node, language: Mapping[str, _Function[_F]]) -> Callable[[_F], bool]:
    match node:
        case Call():
            value, returns = _call(node, language)
            if returns is not bool:
                raise ExpressionError(f"{node.name} at character {node.at} needs a comparison")
            return value
        case Compare(call, sign, literal, at):
            value, returns = _call(call, language)
            return _comparison(value, sign, _typed(literal, returns, at))
        case Not(term):
            inner = _compiled(term, language)
            return lambda subject: not inner(subject)
        case AllOf(terms):
            parts = [_compiled(term, language) for term in terms]
            return lambda subject: all(part(subject) for part in parts)
        case AnyOf(terms):
            parts = [_compiled(term, language) for term in terms]
            return lambda subject: any(part(subject) for part in parts)


def _comparison(value: Callable[[_F], Any], sign: str, literal: Literal) -> Callable[[_F], bool]:
    compare = _OPERATORS[sign]
    return lambda subject: compare(value(subject), literal)


def _call(call: Call, language: Mapping[str, _Function[_F]]) -> tuple[Callable[[_F], Any], type]:
    function = language.get(call.name)
    if function is None:
        place = f"{call.name} at character {call.at}"
        raise ExpressionError(f"{place} is not known: use {', '.join(language)}")
    if len(call.arguments) != len(function.takes):
        count = len(function.takes)
        raise ExpressionError(f"{call.name} at character {call.at} takes {count} arguments")
    arguments = [
        _typed(argument, wanted, call.at)
        for argument, wanted in zip(call.arguments, function.takes, strict=True)
    ]
    return (lambda subject: function.value(subject, *arguments)), function.returns


_SPOKEN = {int: "an integer", float: "a number with a point", str: "a string"}


def _typed(literal: Literal, wanted: type, at: int) -> Literal:
    if wanted is bool or type(literal) is not wanted:
        what = _SPOKEN.get(wanted, "no comparison")
        raise ExpressionError(f"{literal!r} at character {at}: expected {what}")
    return literal
