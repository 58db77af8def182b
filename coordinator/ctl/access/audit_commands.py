"""`coordctl audit`: the audit logs of all members as one."""

import threading
import time
from queue import SimpleQueue

from coordinator.client.core.endpoint import Endpoint
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
        seen = {endpoint: SeenLines() for endpoint in client.endpoints}
        reasons = []
        for endpoint in client.endpoints:
            try:
                found += _last(client, endpoint, seen[endpoint])
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


def _last(client: ApiClient, endpoint: Endpoint, seen: SeenLines) -> list[AuditEntry]:
    body = client.read_from(endpoint, HttpRequest("GET", AUDIT))
    found = (audit_lines.parse(line, str(endpoint)) for line in body.splitlines())
    return [
        entry
        for line, entry in zip(body.splitlines(), found, strict=True)
        if entry is not None and seen.is_new(line)
    ]


def _follow(invocation: Invocation, client: ApiClient, seen: dict[Endpoint, SeenLines]) -> None:
    arrived: SimpleQueue[AuditEntry] = SimpleQueue()
    for endpoint, lines in seen.items():
        arguments = (client, endpoint, lines, arrived)
        threading.Thread(target=_follow_one, args=arguments, daemon=True).start()
    while True:
        _print(invocation, arrived.get())


def _follow_one(
    client: ApiClient, endpoint: Endpoint, seen: SeenLines, arrived: SimpleQueue[AuditEntry]
) -> None:
    """Read one member's stream for ever; tell once when it cannot be read."""
    told, request = "", HttpRequest("GET", AUDIT, {"stream": "true"})
    while True:
        splitter = LineSplitter()
        try:
            for chunk in client.stream_from(endpoint, request):
                told = ""
                for line in splitter.feed(chunk):
                    entry = audit_lines.parse(line, str(endpoint))
                    if entry is not None and seen.is_new(line):
                        arrived.put(entry)
        except ClusterUnreachable as failure:
            if str(failure) != told:
                told = str(failure)
                echo(f"Error:  {told}", err=True)
        time.sleep(AGAIN_S)


def _print(invocation: Invocation, entry: AuditEntry) -> None:
    echo(go_json(entry) if invocation.as_json else audit_lines.text(entry))
