"""fleetctl logs, journal, exec: requests to the agent of a host."""

import base64
import contextlib
import threading
import time
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.ctl.arguments import Follow, JobName, Lines, SignKey
from fleet.ctl.invocation import Invocation, invocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nacl.public import PrivateKey

    from fleet.core.model import RemoteRequest, RemoteResponse
    from fleet.core.scheduling.cluster_state import Host

# An unanswered request expires in the store after this time.
REQUEST_TTL_S = 60
RESPONSE_WAIT_S = 55.0
POLL_S = 0.05
# An agent that is asked to follow a journal waits this long for a line. The caller looks for the
# response less often then, and asks again no sooner than after the second time.
FOLLOW_WAIT_S, FOLLOW_EVERY_S, FOLLOW_POLL_S = 20.0, 1.0, 0.25
# Journals that one command follows: each needs a thread here and a place at its agent.
FOLLOWED_MAX = 64


def logs(
    context: typer.Context,
    name: JobName,
    *,
    lines: Lines = 100,
    follow: Follow = False,
    sign_key: SignKey = None,
) -> None:
    """Show the logs of all instances of a job, merged by time."""
    ctl = invocation(context)
    ctl.sign_with(sign_key)
    _show_journals(ctl, name, lines=lines, follow=follow)


def journal(
    context: typer.Context,
    name: JobName,
    *,
    lines: Lines = 10,
    follow: Follow = False,
    sign_key: SignKey = None,
) -> None:
    """Show the logs of a unit on every host where it runs."""
    ctl = invocation(context)
    ctl.sign_with(sign_key)
    _show_journals(ctl, name, lines=lines, follow=follow)


def execute(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="JOB[N]|HOST", help="An instance, or a host.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.")
    ],
    *,
    sign_key: SignKey = None,
) -> None:
    """Run a command on a host, as root.

    Prints its output and exits with its exit code.
    """
    from daemonkit.host.author import author
    from fleet.core.model import RemoteRequest

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    response = request(ctl, _host_of(ctl, where), RemoteRequest(author(), command=tuple(command)))
    ctl.say_exactly(response.out)
    raise typer.Exit(response.code)


def request(ctl: Invocation, host: "Host", asked: "RemoteRequest") -> "RemoteResponse":
    """Send a request to a host's agent and wait for the response. Raises Refused.

    The response is sealed for a key of this call, and both are deleted when it has been read.
    """
    import secrets

    import msgspec
    from nacl.public import PrivateKey

    from coordinator.client import KeyNotFound
    from fleet.clock import unix_s
    from fleet.core import keys
    from fleet.core.model import encode
    from fleet.ctl.registry import Refused

    if host.status is None:
        raise Refused(f"the agent of {host.name()} is silent")
    store, private = ctl.registry.store, PrivateKey.generate()
    # The response has the same number. A host may write only those that begin with its own id.
    number = f"{host.id}-{secrets.token_hex(8)}"
    public = base64.b64encode(bytes(private.public_key)).decode()
    asked = msgspec.structs.replace(asked, reply_key=public)
    if ctl.signer is not None:
        from fleet.core import signed_request

        asked = signed_request.sign(asked, host.id, number, unix_s(), ctl.signer)
    question, answer = keys.request(host.id, number), keys.response(number)
    store.put(question, encode(asked), ttl_s=REQUEST_TTL_S)
    poll_s = FOLLOW_POLL_S if asked.wait_s else POLL_S
    end_s = time.monotonic() + RESPONSE_WAIT_S
    while time.monotonic() < end_s:
        try:
            text = store.get(answer).value
        except KeyNotFound:
            time.sleep(poll_s)
            continue
        for key in (answer, question):
            with contextlib.suppress(KeyNotFound):
                store.delete(key)
        response = _opened(text, private)
        if response.refused:
            raise Refused(f"{host.name()}: {response.refused}")
        return response
    raise Refused(f"{host.name()} did not answer within {RESPONSE_WAIT_S:g} s")


def _opened(text: str, private: "PrivateKey") -> "RemoteResponse":
    """Read a response. An agent of 0.1 does not seal it."""
    from nacl.exceptions import CryptoError
    from nacl.public import SealedBox

    from fleet.core.model import RemoteResponse, decode
    from fleet.ctl.registry import Refused

    response = decode(text, RemoteResponse)
    if not response.sealed:
        return response
    try:
        plain = SealedBox(private).decrypt(base64.b64decode(response.sealed))
    except (CryptoError, ValueError):
        raise Refused("the response was not sealed for this command: somebody changed it") from None
    return decode(plain, RemoteResponse)


def _show_journals(ctl: Invocation, name: str, *, lines: int, follow: bool) -> None:
    from daemonkit.host.author import author
    from fleet.core.ctl import journal
    from fleet.core.model import RemoteRequest
    from fleet.ctl.registry import Refused

    desired = ctl.registry.desired(name)
    instances = ctl.cluster.instances_by_job().get(desired.record.name, [])
    if not instances:
        raise Refused(f"{desired.record.name} runs nowhere")
    if follow and len(instances) > FOLLOWED_MAX:
        raise Refused(f"{len(instances)} instances are too many to follow: leave out --follow")
    journals, followed = [], []
    for each in instances:
        asked = RemoteRequest(author(), logs=each.allocation.name, lines=lines)
        response = request(ctl, each.host, asked)
        journals.append(response.out)
        followed.append(_FollowedJournal(each.host, asked, response.cursor))
    _print_entries(ctl, journal.merge(journals))
    if follow:
        _follow(ctl, followed)


def _print_entries(ctl: Invocation, entries: "Iterable[str]") -> None:
    from fleet.core.ctl import journal

    for entry in entries:
        ctl.say(journal.as_json(entry) if ctl.as_json else entry)


@dataclass(slots=True)
class _FollowedJournal:
    """The journal of one unit, read up to a cursor."""

    host: "Host"
    asked: "RemoteRequest"
    cursor: str

    def read_on(self, ctl: Invocation) -> str:
        """Wait for lines after the cursor, and return them; "" if there were none for a while."""
        import msgspec

        wait_s = FOLLOW_WAIT_S if self.cursor else 0.0
        asked = msgspec.structs.replace(self.asked, cursor=self.cursor, wait_s=wait_s)
        response = request(ctl, self.host, asked)
        self.cursor = response.cursor
        return response.out


def _follow(ctl: Invocation, journals: "Sequence[_FollowedJournal]") -> None:
    """Print what is added to the journals, until the command is interrupted."""
    from fleet.core.ctl import journal

    arrived: Queue[str | Exception] = Queue()

    def read(one: _FollowedJournal) -> None:
        try:
            while True:
                begun_s = time.monotonic()
                arrived.put(one.read_on(ctl))
                time.sleep(max(0.0, begun_s + FOLLOW_EVERY_S - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - raised in the thread that prints
            arrived.put(error)

    for each in journals:
        threading.Thread(target=read, args=(each,), daemon=True).start()
    while True:
        text = arrived.get()
        if isinstance(text, Exception):
            raise text
        _print_entries(ctl, journal.merge([text]))


def _host_of(ctl: Invocation, where: str) -> "Host":
    """Return the host of an instance, of a job's first instance, or the host of this name."""
    name, _, index = where.partition("[")
    jobs = ctl.cluster.jobs
    job = name if name in jobs else f"{name}.service"
    for each in ctl.cluster.instances_by_job().get(job, []):
        if not index or index.rstrip("]") == str(each.allocation.index):
            return each.host
    return ctl.registry.host(where)
