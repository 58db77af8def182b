"""An error of ours ends one request, is counted, and ends nothing else."""

from collections.abc import Callable, Iterator

import pytest

from daemonkit.http.exchange import spawn
from daemonkit.http.server import Exchange
from daemonkit.observe import process_counters
from rig.processes import wait_until
from tests.daemonkit.http.live_server import OK, LiveServer, get, post, reply


def _recurse(depth: int) -> int:
    return 1 + _recurse(depth + 1)


ERRORS: dict[bytes, Callable[[], object]] = {
    b"/value": lambda: int("x"),
    b"/recursion": lambda: _recurse(0),
    b"/overflow": lambda: float(10**400),
    b"/unicode": b"\xff".decode,
    b"/key": lambda: {}["x"],
}


class Failing:
    """Raises what the target names, at the moment that the target names."""

    def __init__(self) -> None:
        self.kept: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        target = exchange.head.target
        if target in ERRORS:
            ERRORS[target]()
        elif target == b"/begun":
            exchange.start(OK + b"Content-Length: 10\r\n", chunked=False)
            exchange.write(b"abc")
            raise ValueError
        elif target == b"/later":
            spawn(exchange, self._fail_later())
        elif target == b"/lost":
            exchange.ends_with_client = True
            exchange.lost = ERRORS[b"/key"]  # type: ignore[assignment]
            self.kept.append(exchange)
        elif target == b"/body":
            exchange.receiver = FailingReceiver()
        else:
            reply(exchange, b"fine")

    async def _fail_later(self) -> None:
        raise RuntimeError("after a while")


class FailingReceiver:
    """Cannot take a body."""

    def body_data(self, data: bytes) -> None:
        raise KeyError(data)

    def body_end(self) -> None:
        raise AssertionError


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def live(failing: Failing) -> Iterator[LiveServer]:
    with LiveServer(failing) as running:
        yield running


def _counted() -> float:
    return sum(sample.value for sample in process_counters.samples())


@pytest.mark.parametrize("target", [*ERRORS, b"/later"])
def test_an_error_of_the_application_answers_500(live: LiveServer, target: bytes) -> None:
    before = _counted()
    with live.client() as client:
        answer = client.ask(get(target))
        assert (answer.status, answer.fields[b"connection"]) == (500, b"close")
        assert b"internal error" in answer.body
        assert client.ended()
    assert _counted() == before + 1
    with live.client() as client:
        assert client.ask(get()).body == b"fine"


def test_an_error_within_an_answer_resets_the_connection(live: LiveServer) -> None:
    with live.client() as client:
        client.send(get(b"/begun"))
        with pytest.raises((EOFError, ConnectionResetError)):
            client.answer()
    with live.client() as client:
        assert client.ask(get()).body == b"fine"


def test_an_error_of_one_pipelined_request_leaves_the_answers_before_it(live: LiveServer) -> None:
    with live.client() as client:
        client.send(get() + get(b"/value") + get())
        assert client.answer().body == b"fine"
        assert client.answer().status == 500
        assert client.ended()


def test_an_error_after_the_client_has_left_ends_nothing(
    live: LiveServer, failing: Failing
) -> None:
    before = _counted()
    with live.client() as client:
        client.send(get(b"/lost"))
        live.settle()
    with live.client() as client:
        assert client.ask(get()).body == b"fine"
    assert len(failing.kept) == 1
    wait_until(lambda: _counted() == before + 1, "the error is counted")


def test_an_error_while_a_body_arrives_answers_500(failing: Failing) -> None:
    with LiveServer(failing, buffered=False) as live:
        with live.client() as client:
            assert client.ask(post(b"abc", target=b"/body")).status == 500
        with live.client() as client:
            assert client.ask(get()).body == b"fine"


def test_errors_of_one_place_are_counted_under_its_name(live: LiveServer) -> None:
    for _ in range(3):
        with live.client() as client:
            client.ask(post(b"", target=b"/value"))
    places = {sample.labels.get("place") for sample in process_counters.samples()}
    assert "daemonkit.http.connection.dispatch" in places
