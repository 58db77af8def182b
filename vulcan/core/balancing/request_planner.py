"""From a request's head to the frontend that serves it, and all that follows from the head alone.

Clients repeat their heads, and a parsed head is cached: its plan is cached beside it, until the
keys change.
"""

from collections.abc import Callable

import msgspec

from daemonkit.core.framing import BadMessage, RequestHead
from vulcan.core.balancing.frontend_state import FrontendState, FrontendStates
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.table import Table
from vulcan.core.http.request_head import UpstreamHead, is_idempotent, upstream_head
from vulcan.core.http.target import RequestTarget, parse_target
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import Route


class RequestPlan(msgspec.Struct, frozen=True):
    """What a request head means under one table."""

    generation: object  # of the planner
    index: int  # of the store, when the plan was made
    state: FrontendState
    frontend: Frontend
    target: RequestTarget
    upstream_head: UpstreamHead
    idempotent: bool
    has_body: bool
    secure: bool


class RequestPlanner:
    """Finds the frontends of requests, by one table after the other."""

    def __init__(self, table: Table, states: FrontendStates) -> None:
        self.table = table
        self.states = states
        self.generation = object()  # changes with the keys that plans are made of
        self.needs_peer = False  # whether a route asks for the client's address

    def follow(self, table: Table) -> None:
        """Put a table in force."""
        before, self.table = self.table, table
        if table.frontends is not before.frontends or table.middlewares is not before.middlewares:
            self.generation = object()
            self.needs_peer = table.needs_peer()
            self.states.update(table, before)

    def cached(self, head: RequestHead, *, secure: bool) -> RequestPlan | None:
        """Return the plan of a head that came before, None when it has to be made."""
        plan = head.memo.get("plan-tls" if secure else "plan")
        if isinstance(plan, RequestPlan) and plan.generation is self.generation:
            return plan
        return None

    def plan(
        self, head: RequestHead, scope: Route | None, peer: Callable[[], bytes], *, secure: bool
    ) -> RequestPlan | None:
        """Make a request's plan, and cache it where it depends on the head alone.

        Returns None when no frontend serves it. Raises BadMessage and HopsExhausted.
        """
        target = parse_target(head)
        client = peer() if self.needs_peer or scope is not None else b""
        frontend = self._find(target.view, scope, client)
        other = target.lenient_view
        if other is not None and self._find(other, scope, client) is not frontend:
            raise BadMessage(400, "servers could read the path as that of another frontend")
        if frontend is None:
            return None
        state = self.states.by_id[frontend.id]
        plan = RequestPlan(
            generation=self.generation,
            index=self.table.index,
            state=state,
            frontend=frontend,
            target=target,
            upstream_head=upstream_head(head, target, frontend, secure=secure, edits=state.edits),
            idempotent=is_idempotent(head),
            has_body=head.chunked or head.length > 0,
            secure=secure,
        )
        if scope is None and not self.needs_peer:
            head.memo["plan-tls" if secure else "plan"] = plan
        return plan

    def _find(self, view: RequestView, scope: Route | None, peer: bytes) -> Frontend | None:
        if peer:
            view = view.with_peer(peer)
        if scope is not None and not scope.holds(view):
            return None
        return self.table.find(view)
