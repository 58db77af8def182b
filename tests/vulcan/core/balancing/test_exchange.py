"""Exchanges as transcripts: the events, and all decisions of the exchange.

    servers a b              give the backend these servers; `no-servers`: none
    backend JSON             give the backend these settings
    frontend JSON            give the frontend these settings
    idle a                   keep a connection to a server in its pool
    request METHOD [FIELD: VALUE, ...]    a client sends a request; {a} is the cookie of server a
    body TEXT                the client sends a piece of the body; `body-end` ends it
    connected                the new connection is there
    connect-failed STATUS    no connection could be made
    cut [heard]              the server's connection broke off; `heard` after a part of a response
    whole STATUS             the whole response came
    head STATUS              the response's head came; `end` ends the response
    continue                 the server has sent 100
    upgraded                 the server has switched protocols
    timeout [client|server]  the deadline has passed; the client holds up the server's response, or
                             the server the client's body, of which it has read since
    client-left              the client has closed its connection
    client-refused STATUS    the client was told that its body is malformed
    wait SECONDS             time passes
    counters                 show the frontend's counters
    health                   show the servers

`pytest --rewrite` records the lines again.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from daemonkit.core.framing import BadMessage, parse_request_head
from rig import transcripts
from rig.vulcan_keys import PREFIX, backend, changes, frontend, server
from vulcan.core.balancing.exchange import (
    MAY_BECOME,
    Abort,
    Action,
    Connect,
    ExchangeState,
    ProxyExchange,
    ReportFailure,
    Respond,
    SendContinue,
    Wait,
)
from vulcan.core.balancing.frontend_state import FrontendStates
from vulcan.core.balancing.request_planner import RequestPlanner
from vulcan.core.balancing.retry_budget import RetryBudget
from vulcan.core.balancing.server_group import ServerGroup
from vulcan.core.balancing.server_state import ServerState
from vulcan.core.config.table import Table
from vulcan.core.http.request_body import RequestBody

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
START_S = 1000.0


class Script:
    """The exchanges of one file: does what `proxy/forward.py` does, without connections."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.index = 1
        self.planner = RequestPlanner(Table(PREFIX), FrontendStates(0, lambda: 0.0))
        self.groups: dict[str, ServerGroup[ServerState]] = {}
        self.idle: list[str] = []
        self.reused = False
        self.lines: list[str] = []
        self._shown = ""
        self._put(frontend("f", 'Host("h")'), backend("b"))

    def run(self, command: str) -> list[str]:
        verb, _, rest = command.partition(" ")
        self.lines = []
        getattr(self, f"do_{verb.replace('-', '_')}")(rest)
        return self.lines

    def do_servers(self, names: str) -> None:
        wanted = [server(name, f"http://{name}:80") for name in names.split()]
        gone = {*self.planner.table.servers.get("b", {})} - {*names.split()}
        self._put(*wanted, removed=tuple(f"backends/b/servers/{name}" for name in gone))

    def do_no_servers(self, _: str) -> None:
        self.groups.clear()

    def do_backend(self, settings: str) -> None:
        self._put(backend("b", **json.loads(settings)))

    def do_frontend(self, settings: str) -> None:
        self._put(frontend("f", 'Host("h")', **json.loads(settings)))

    def do_idle(self, name: str) -> None:
        self.idle.append(name)

    def do_request(self, rest: str) -> None:
        method, _, fields = re.sub(r"\{(\w+)\}", self._token, rest).partition(" ")
        lines = [f"{method} / HTTP/1.1", "Host: h", *filter(None, fields.split(", "))]
        head = parse_request_head(("\r\n".join(lines) + "\r\n\r\n").encode())
        plan = self.planner.plan(head, None, lambda: b"", secure=False)
        assert plan is not None
        self.exchange: ProxyExchange[ServerState]
        self.exchange = exchange = ProxyExchange(plan, head, self.groups, self.now_s)
        if plan.has_body:
            settings = plan.frontend
            exchange.body = RequestBody(
                head.chunked,
                awaits_continue=head.expects_continue,
                replay_bytes_max=settings.replay_bytes_max,
                replayable=[] if settings.failover else None,
            )
        chosen = exchange.choose_server(self.now_s)
        if chosen is None:
            self._do([exchange.respond(503)])
        elif chosen.server.id in self.idle:
            self.idle.remove(chosen.server.id)
            self._send(reused=True)
        else:
            self._connect()

    def do_body(self, text: str) -> None:
        body = self._body()
        framed = body.add(text.encode())
        body.awaits_continue = False
        if self.exchange.state is ExchangeState.CONNECTING:
            body.pending.append(framed)
        else:
            self.lines.append(f"send {framed!r}")

    def do_body_end(self, _: str) -> None:
        body = self._body()
        end = body.end(())
        if self.exchange.state is ExchangeState.CONNECTING:
            body.pending.append(end)
        elif end:
            self.lines.append(f"send {end!r}")

    def do_connected(self, _: str) -> None:
        self._send(reused=False)

    def do_connect_failed(self, status: str) -> None:
        self._do(self.exchange.connect_failed(int(status), "refused", self.now_s))

    def do_cut(self, heard: str) -> None:
        exchange = self.exchange
        self._do(
            exchange.connection_failed(
                502, "closed", self.now_s, reused=self.reused, heard=bool(heard)
            )
        )

    def do_whole(self, status: str) -> None:
        if self._came(int(status)):
            self._finish()

    def do_head(self, status: str) -> None:
        if self._came(int(status)):
            self.exchange.response_started()
            self._show()

    def do_end(self, _: str) -> None:
        self._finish()

    def do_continue(self, _: str) -> None:
        self._do([SendContinue()])

    def do_upgraded(self, _: str) -> None:
        self.exchange.upgraded()
        self._show()

    def do_timeout(self, slow: str) -> None:
        self._do(
            self.exchange.deadline_passed(
                self.now_s,
                client_writable=slow != "client",
                server_writable=slow == "client",
                server_reads=slow == "server",
            )
        )

    def do_client_left(self, _: str) -> None:
        self._lost(None)

    def do_client_refused(self, status: str) -> None:
        self._lost(BadMessage(int(status), "malformed"))

    def do_wait(self, seconds: str) -> None:
        self.now_s += float(seconds)

    def do_counters(self, _: str) -> None:
        counters = asdict(self.exchange.plan.state.counters)
        shown = (f"{name}={value}" for name, value in counters.items() if value)
        self.lines.append(" ".join(shown) or "nothing")

    def do_health(self, _: str) -> None:
        for each in self.groups["b"].servers.values():
            health = "healthy" if each.is_healthy(self.now_s) else "ejected"
            codes = dict(sorted(each.window.codes().items()))
            self.lines.append(f"{each.server.id} {health} in_flight={each.in_flight} {codes}")

    def _put(self, *entries: object, removed: tuple[str, ...] = ()) -> None:
        """Write keys; a server that stays keeps its state."""
        self.index += 1
        change = changes(*entries, removed=removed, index=self.index)
        table = self.planner.table.advanced(change)
        self.planner.follow(table)
        made = table.backend("b")
        if made is None:
            return
        before = self.groups.get("b")
        states = {
            each.address: (before.servers.get(each.address) if before else None)
            or ServerState(made, each, self.now_s)
            for each in table.distinct_servers("b")
        }
        self.groups["b"] = ServerGroup(made, states, before.budget if before else RetryBudget())

    def _do(self, actions: Iterable[Action[ServerState]]) -> None:
        for action in actions:
            match action:
                case ReportFailure(failed, reason):
                    self.lines.append(f"report {failed.server.id}: {reason}")
                case Connect():
                    self._connect()
                case Wait():
                    self.lines.append("wait")
                case SendContinue():
                    self._body().awaits_continue = False
                    self.lines.append("send 100 to the client")
                case Respond(status, outcome):
                    self.lines.append(f"respond {status}, log {outcome}")
                    self._finish()
                case Abort(outcome):
                    self.lines.append(f"abort, log {outcome}")
                    self._finish()

    def _connect(self) -> None:
        self.exchange.connecting()
        self._show()

    def _send(self, *, reused: bool) -> None:
        self.reused = reused
        self.exchange.request_sent(self.now_s)
        self._show(" on an idle connection" if reused else "")
        if (body := self.exchange.body) is not None:
            self.lines += [f"send {piece!r}" for piece in body.pending if piece]
            body.pending = []

    def _lost(self, refusal: BadMessage | None) -> None:
        status, outcome = self.exchange.client_lost(refusal)
        self.lines.append(f"log {status} {outcome}")
        self._finish()

    def _came(self, status: int) -> bool:
        chosen = self.exchange.fail_over(status, self.now_s, network=False)
        if chosen is not None:
            self._do([Connect(chosen)])
            return False
        self.exchange.response_came(status, self.now_s)
        cookie = " with a cookie" if self.exchange.needs_cookie else ""
        self.lines.append(f"respond {status} from {self._server()}{cookie}")
        return True

    def _finish(self) -> None:
        assert self.exchange.finish()
        self._show()

    def _show(self, more: str = "") -> None:
        self.lines.append(f"{self.exchange.state.name} {self._server()}{more}".rstrip())

    def _token(self, name: re.Match[str]) -> str:
        return self.groups["b"].servers[f"http://{name[1]}"].cookie_value.decode()

    def _server(self) -> str:
        return self.exchange.server.server.id if self.exchange.server is not None else ""

    def _body(self) -> RequestBody:
        assert self.exchange.body is not None
        return self.exchange.body


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_exchange_decides_as_recorded(path: Path, request: pytest.FixtureRequest):
    transcripts.check(path, Script().run, rewrite=request.config.getoption("--rewrite"))


def test_every_state_but_the_last_can_end():
    ending = {state for state, moves in MAY_BECOME.items() if ExchangeState.ENDED in moves}
    assert ending == set(ExchangeState) - {ExchangeState.ENDED}


@pytest.mark.parametrize("state", ExchangeState)
def test_a_move_that_the_table_does_not_have_is_a_bug(state: ExchangeState):
    script = Script()
    script.run("servers a")
    script.run("request GET")
    exchange = script.exchange
    for move in set(ExchangeState) - MAY_BECOME[state]:
        exchange.state = state
        with pytest.raises(AssertionError, match="cannot become"):
            exchange._become(move)


def test_an_exchange_ends_once():
    script = Script()
    script.run("servers a")
    script.run("request GET")
    assert script.exchange.finish()
    assert not script.exchange.finish()
    assert script.exchange.server is not None
    assert script.exchange.server.in_flight == 0


def test_a_failure_counts_in_the_group_that_the_keys_have_now():
    script = Script()
    for command in ("servers a b", "request GET", "connected"):
        script.run(command)
    first = script.exchange
    script.run('backend {"Drain": "1s"}')  # a new group; the next request computes its rotation
    script.run("request GET")
    script.run("client-left")
    script.exchange = first
    script.run("cut")
    script.run("client-left")
    for _ in range(4):
        assert script.run("request POST") == ["CONNECTING b"]
        script.run("client-left")


def test_a_retry_is_paid_for_when_there_is_a_server_for_it():
    script = Script()
    script.run("servers a")
    script.run('frontend {"FailoverPredicate": "ResponseCode() == 503"}')
    script.run("request GET")
    script.run("connected")
    budget = script.groups["b"].budget
    script.run("no-servers")
    assert script.run("whole 503")[0] == "respond 503 from a"
    assert [budget.withdraw() for _ in range(11)] == [True] * 10 + [False]
