"""`coordctl audit`: the audit logs of all members as one."""

import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

from coordinator.client.core.http_request import HttpRequest
from coordinator.client.core.json_lines import LineSplitter
from coordinator.core.ctl import audit_lines
from coordinator.core.ctl.audit_lines import AuditEntry, SeenLines
from coordinator.core.ctl.render import go_json
from coordinator.ctl.access.auth_client import AUTH
from coordinator.ctl.api_client import ApiClient, ClusterUnreachable
from coordinator.ctl.exit_codes import SERVER_ERROR
from coordinator.ctl.invocation import Invocation, until_interrupted
from daemonkit.host.terminal import echo

AUDIT = f"{AUTH}/audit"
AGAIN_S = 1.0


def audit(invocation: Invocation, *, follow: bool) -> None:
    """Print the last lines of every member, and with `follow` those that come."""
    with until_interrupted():
        client = invocation.client()
        found: list[AuditEntry] = []
        seen = {url: SeenLines() for url in _members(client)}
        reasons = []
        for url, lines in seen.items():
            try:
                found += _last(client, url, lines)
            except ClusterUnreachable as failure:
                reasons.append(str(failure))
        if len(reasons) == len(seen):
            client.fail("; ".join(reasons), SERVER_ERROR)
        for reason in reasons:
            echo(f"Error:  {reason}", err=True)
        for entry in audit_lines.in_order(found):
            _print(invocation, entry)
        if follow:
            _follow(invocation, client, seen)


def _members(client: ApiClient) -> list[str]:
    """Return one URL of each member; of a socket, those that its member knows."""
    if not client.endpoints[0].socket_path:
        return [endpoint.url for endpoint in client.endpoints]
    try:
        return [each.client_urls[0] for each in client.members() if each.client_urls]
    except ClusterUnreachable as failure:
        client.fail(failure, SERVER_ERROR)


def _lines(client: ApiClient, url: str, *, stream: bool, again: bool = False) -> Iterator[bytes]:
    """Yield the lines of one member. Raises ClusterUnreachable."""
    endpoint, fields = client.elsewhere(url, again=again)
    params = {"stream": "true"} if stream else {}
    splitter = LineSplitter()
    for chunk in client.stream_from(endpoint, HttpRequest("GET", AUDIT, params, headers=fields)):
        yield from splitter.feed(chunk)


def _last(client: ApiClient, url: str, seen: SeenLines) -> Iterator[AuditEntry]:
    for line in _lines(client, url, stream=False):
        entry = audit_lines.parse(line, url)
        if entry is not None and seen.is_new(line):
            yield entry


def _follow(invocation: Invocation, client: ApiClient, seen: dict[str, SeenLines]) -> None:
    arrived: SimpleQueue[AuditEntry] = SimpleQueue()
    for url, lines in seen.items():
        arguments = (client, url, lines, arrived)
        threading.Thread(target=_follow_one, args=arguments, daemon=True).start()
    while True:
        _print(invocation, arrived.get())


def _follow_one(
    client: ApiClient, url: str, seen: SeenLines, arrived: SimpleQueue[AuditEntry]
) -> None:
    """Read one member's stream for ever; tell once when it cannot be read."""
    told = ""
    while True:
        try:
            for line in _lines(client, url, stream=True, again=bool(told)):
                told = ""
                entry = audit_lines.parse(line, url)
                if entry is not None and seen.is_new(line):
                    arrived.put(entry)
        except ClusterUnreachable as failure:
            if str(failure) != told:
                told = str(failure)
                echo(f"Error:  {told}", err=True)
        time.sleep(AGAIN_S)


def _print(invocation: Invocation, entry: AuditEntry) -> None:
    echo(go_json(entry) if invocation.as_json else audit_lines.text(entry))
