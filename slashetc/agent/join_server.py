"""The join endpoint of a member: where new hosts, and hosts that renew, reach the authority.

It answers strangers, so it does little for them: it shows the authority's certificates, and it
checks the signature of a token or a renewal before anything is written or signed.

    GET  /v1/authority    the certificates of the authority, in PEM
    POST /v1/join         a request for certificates; the answer comes when the authority has signed
"""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.client import Store, StoreError
from daemonkit.core.api_routes import ApiRoute
from daemonkit.http.exchange import Exchange, spawn
from daemonkit.http.server import Limits, Server, own_origins
from daemonkit.observe import logs
from daemonkit.observe.status_page import respond
from slashetc.authority import office
from slashetc.authority.office import Office
from slashetc.core import admission, requests
from slashetc.core.admission import KnownFleet, Refused
from slashetc.core.records import Records
from slashetc.core.requests import BadMessage, JoinAnswer, JoinRequest
from slashetc.join.join_client import AUTHORITY_PATH, JOIN_PATH
from slashetc.join.own_requests import utc_now

# A host asks for few certificates, and seldom; strangers get no more than this.
LIMITS = Limits(
    head_bytes_max=8192,
    body_bytes_max=requests.BODY_BYTES_MAX,
    connections_max=1000,
    client_connections_max=50,
)
# How long a request waits for the authority; its host then asks again.
WAIT_S = 30.0
# The requests that may wait for the authority at once.
WAITING_MAX = 500
ROUTES = (
    ApiRoute("GET", AUTHORITY_PATH, "the certificates of the authority, in PEM"),
    ApiRoute("POST", JOIN_PATH, "a request for certificates, with a token or a signature; JSON"),
)
_log = logs.get("join")


@dataclass(frozen=True, slots=True)
class Known:
    """What the agent knows when a request comes."""

    records: Records
    fleet: KnownFleet
    authority: str  # PEM


class JoinServer:
    """Answers requests for certificates: itself where the authority is, else by the store."""

    def __init__(
        self,
        known: Callable[[], Known | None],
        store: Store,
        signs: Office | None,
    ) -> None:
        """`known` returns None until the records have been read."""
        self._known, self._store, self._office = known, store, signs
        self.server = Server(self._answer, limits=LIMITS, origins=own_origins())
        self._waiting: dict[str, asyncio.Event] = {}
        self.requests = self.refusals = 0

    def records_changed(self, found: Records) -> None:
        """Wake the requests whose answers have come."""
        for number, event in self._waiting.items():
            if number in found.answers:
                event.set()

    def _answer(self, exchange: Exchange) -> None:
        path = exchange.head.target.partition(b"?")[0].decode(errors="replace")
        match exchange.head.method, path:
            case b"GET" | b"HEAD", "/v1/authority":
                known = self._known()
                if known is None:
                    _reply(exchange, _starting())
                else:
                    respond(exchange, 200, "application/x-pem-file", known.authority.encode())
            case b"POST", "/v1/join":
                self.requests += 1
                spawn(exchange, self._join(exchange))
            case _:
                paths = f"GET {AUTHORITY_PATH} and POST {JOIN_PATH}"
                _reply(exchange, JoinAnswer(status=404, error=f"this serves {paths}"))

    async def _join(self, exchange: Exchange) -> None:
        try:
            request = requests.read(exchange.body)
            answer = await self._decide(request, utc_now())
        except BadMessage as error:
            answer = JoinAnswer(status=400, error=str(error))
        except Refused as refusal:
            answer = JoinAnswer(status=refusal.status, error=str(refusal))
        except StoreError as error:
            _log.warning("store-failed", reason=str(error))
            answer = JoinAnswer(
                status=503, error="the store cannot decide now: it will be asked again"
            )
        if answer.status >= 400:
            self.refusals += 1
            _log.warning("not-joined", client=exchange.peer[0], why=answer.error)
        _reply(exchange, answer)

    async def _decide(self, request: JoinRequest, now: dt.datetime) -> JoinAnswer:
        known = self._known()
        if known is None:
            return _starting()
        # The authority decides; this keeps strangers away from it, and from the store.
        if request.token:
            admission.token_of(request.token, known.fleet, now)
        else:
            admission.decide(request, known.fleet, now)
        if self._office is not None:
            answer = await asyncio.to_thread(self._office.answer, request, now)
        else:
            answer = await self._ask_authority(request)
        if answer.status >= 300:
            return answer
        return self._completed(answer)

    def _completed(self, answer: JoinAnswer) -> JoinAnswer:
        from msgspec.structs import replace

        known = self._known()
        assert known is not None
        domain = known.records.fleet.domain if known.records.fleet else ""
        return replace(answer, endpoints=known.records.endpoints, domain=domain)

    async def _ask_authority(self, request: JoinRequest) -> JoinAnswer:
        if len(self._waiting) >= WAITING_MAX:
            return JoinAnswer(status=429, error="too many hosts wait for the authority: try again")
        number = request.id
        event = self._waiting.setdefault(number, asyncio.Event())
        try:
            await asyncio.to_thread(office.publish, self._store, request)
            known = self._known()
            if known is None or number not in known.records.answers:
                await asyncio.wait_for(event.wait(), WAIT_S)
            known = self._known()
            assert known is not None
            return requests.read_answer(known.records.answers[number])
        except (TimeoutError, KeyError):
            return JoinAnswer(
                status=504,
                error="the authority has not signed yet: its agent is away, or it is offline (sign "
                "there by `slashetc authority sign`); this goes on once it has",
            )
        finally:
            self._waiting.pop(number, None)


def _starting() -> JoinAnswer:
    return JoinAnswer(
        status=503, error="this agent has not read the fleet's records yet: try again"
    )


def _reply(exchange: Exchange, answer: JoinAnswer) -> None:
    body = requests.encode(answer).encode()
    respond(exchange, answer.status, "application/json", body)
