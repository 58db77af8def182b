"""`/v2/members`: from a request to a change of the cluster, or to the page that refuses it.

This is etcd's API with two extensions: `POST /v2/members/<id>/promote`, and `POST
/v2/members/leader`, which transfers leadership to {"id": "<hex>"}, or to any other voter if the
id is empty.
"""

import re
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from coordinator.core.cluster.ids import member_id
from coordinator.core.cluster.members import Member
from coordinator.core.v2api.info_pages import JSON, TEXT, MemberStatus, Page, as_json, message, page

_T = TypeVar("_T")
PREFIX = "/v2/members"
# Where a new member asks for its id, on the peer port.
PEER_MEMBERS = b"/members"
MEMBER_ID = re.compile("[0-9a-fA-F]{1,16}")
BODY_BYTES_MAX = 64 * 1024
# A member has one URL for each of its networks.
PEER_URLS_MAX = 16
PEER_URL_CHARS_MAX = 512
DONE = Page(204, TEXT, b"")
ALONE = message(
    409,
    "this member has no peer URL: restart it with --listen-peer-urls and "
    "--initial-advertise-peer-urls, then set that URL with `coordctl member update`",
)


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """A request that is answered at once."""

    page: Page


@dataclass(frozen=True, slots=True)
class AddMember:
    """Add a member, as a learner."""

    member: Member


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member."""

    member: int


@dataclass(frozen=True, slots=True)
class UpdateMember:
    """Give a member other peer URLs."""

    member: int
    peer_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromoteMember:
    """Make a learner a voter."""

    member: int


@dataclass(frozen=True, slots=True)
class TransferLeadership:
    """Transfer leadership; 0 is any other voter."""

    target: int


MembersRequest = (
    RejectedRequest | AddMember | RemoveMember | UpdateMember | PromoteMember | TransferLeadership
)


class _PeerUrls(msgspec.Struct):
    peer_urls: list[str] = msgspec.field(name="peerURLs")


class _Id(msgspec.Struct):
    id: str = ""


class _Rejection(Exception):  # noqa: N818
    def __init__(self, refusal: Page) -> None:
        super().__init__(refusal.status)
        self.page = refusal


def parse(
    request: tuple[bytes, str, bytes], body: bytes, status: MemberStatus, now_s: float
) -> MembersRequest:
    """Read a request: (method, path, content type). `now_s` is part of a new member's id."""
    method, path, content_type = request
    parts = path.removeprefix(PREFIX).strip("/").split("/")
    try:
        match method, parts:
            case b"POST", [""]:
                urls = _urls(body, content_type, status)
                added = member_id(urls, f"{status.identity.cluster:x}{int(now_s)}")
                return AddMember(Member(added, "", urls, (), learner=True))
            case b"POST", ["leader"]:
                return TransferLeadership(_target(body))
            case b"POST", [member, "promote"]:
                return PromoteMember(_known(member, status).id)
            case b"PUT", [member] if member:
                found = _known(member, status)
                return UpdateMember(found.id, _urls(body, content_type, status, but=found.id))
            case b"DELETE", [member] if member:
                return RemoveMember(_known(member, status).id)
    except _Rejection as refusal:
        return RejectedRequest(refusal.page)
    allow = ((b"Allow", b"HEAD,GET,POST,PUT,DELETE"),)
    return RejectedRequest(Page(405, TEXT, b"Method Not Allowed\n", allow))


def added(member: Member) -> Page:
    """Answer an addition."""
    return as_json(member.as_json(), 201)


def unavailable(why: str) -> Page:
    """Answer that nothing could be decided, and why."""
    return message(503, why)


def text(content: str) -> Page:
    """Answer with a line of text."""
    return Page(200, TEXT, content.encode())


def bad_size(query: bytes) -> Page:
    """Refuse a discovery size."""
    return Page(400, TEXT, b"size is a number of members from 1 to 99, not: " + query + b"\n")


def peer_page(target: bytes, status: MemberStatus) -> Page:
    """Answer plain HTTP on the peer port."""
    path = target.partition(b"?")[0].decode(errors="replace")
    match path:
        case "/members":
            shown = [{**member.as_json(), "id": member.id} for member in status.members]
            return as_json(shown)
        case "/version" | "/health":
            return page("GET", path, status)
        case "/raft/probing":
            return Page(200, JSON, b'{"OK":true}')
    return Page(404, TEXT, b"404 page not found\n")


def _known(member: str, status: MemberStatus) -> Member:
    number = int(member, 16) if MEMBER_ID.fullmatch(member) else 0
    for known in status.members:
        if known.id == number:
            return known
    if number in status.removed:
        raise _Rejection(message(410, f"Member permanently removed: {member}"))
    raise _Rejection(message(404, f"No such member: {member}"))


def _target(body: bytes) -> int:
    given = _decoded(body or b"{}", _Id).id or "0"
    if MEMBER_ID.fullmatch(given) is None:
        raise _Rejection(message(400, f'expected {{"id": "<hex>"}}, not the id {given[:64]!a}'))
    return int(given, 16)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    if len(body) > BODY_BYTES_MAX:
        raise _Rejection(message(413, f"the request has more than {BODY_BYTES_MAX} bytes"))
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _Rejection(message(400, str(error))) from error


def _urls(body: bytes, content_type: bytes, status: MemberStatus, but: int = 0) -> tuple[str, ...]:
    if content_type.partition(b";")[0].strip() != b"application/json":
        named = content_type.decode(errors="replace")
        raise _Rejection(message(415, f"Bad Content-Type {named}, accept application/json"))
    urls = _decoded(body, _PeerUrls).peer_urls
    if not urls:
        raise _Rejection(message(400, "no valid URLs given"))
    if len(urls) > PEER_URLS_MAX:
        raise _Rejection(message(400, f"{len(urls)} URLs; at most {PEER_URLS_MAX} are allowed"))
    for url in urls:
        _check_url(url)
    for known in status.members:
        if known.id != but and (taken := set(known.peer_urls).intersection(urls)):
            words = f"member {known.id:x} has {', '.join(sorted(taken))}"
            raise _Rejection(message(409, f"membership: peerURL exists: {words}"))
    return tuple(sorted(urls))


def _check_url(url: str) -> None:
    # Python's parser skips control characters, and members print these URLs.
    if len(url) > PEER_URL_CHARS_MAX or not (url.isascii() and url.isprintable()):
        raise _Rejection(message(400, f"no URL of a member: {url[:64]!a}"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _Rejection(message(400, f"{url}: {error}")) from error
    if parts.scheme not in {"http", "https"}:
        raise _Rejection(message(400, f"URL scheme must be http or https: {url}"))
    if port is None or not parts.hostname:
        raise _Rejection(message(400, f'URL address does not have the form "host:port": {url}'))
    if parts.path not in {"", "/"}:
        raise _Rejection(message(400, f"URL must not contain a path: {url}"))
