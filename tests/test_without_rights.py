"""Daemons whose identity may do nothing in the store: they wait, say so, and begin when it may."""

import time
from contextlib import ExitStack
from pathlib import Path

from rig.processes import Running, answers, wait_until
from rig.stores.guarded_store import host
from rig.stores.roled_member import RoledMember
from tests.test_quiet_start import daemons

# As long as most daemons need to ask three times.
WAITING_S = 6.0
LINES_MAX = 20
TEMPLATES = {"role": "templates", "permissions": {"kv": {"read": ["/app", "/app/*"], "write": []}}}


def test_daemons_wait_for_their_rights(tmp_path: Path) -> None:
    machine = Path("/etc/machine-id").read_text().strip()
    with ExitStack() as stack:
        member = stack.enter_context(RoledMember(tmp_path).running())
        member.put_role(TEMPLATES)
        tls = member.host("web3")
        files = ["--ca-file", tls.ca_file, "--cert-file", tls.cert_file, "--key-file", tls.key_file]
        begun: dict[str, Running] = {}
        for page, command in daemons(tmp_path, member.url):
            log = tmp_path / f"{Path(command[0]).name}.log"
            node = ["--node", "web3"] if "vulcand" in command[0] else []
            begun[page] = stack.enter_context(Running([*command, *files, *node], log))
        for page, process in begun.items():
            health = page.replace("/ready", "/health")
            process.wait_for(lambda health=health: answers(health), f"{health} answers")
        end_s = time.monotonic() + WAITING_S
        wait_until(lambda: time.monotonic() > end_s, "some time passes")
        for process in begun.values():
            lines = [each for each in process.tail().splitlines() if " info " not in each]
            assert lines, process.log.name
            assert len(lines) <= LINES_MAX, "\n".join(lines)
            assert "give the certificate or the password of a user" in process.tail()
        assert not any(map(answers, begun))
        own = {"host", "member", "host-skydns", "host-vulcand", "templates"}
        member.allow("host:web3", *sorted(own), attributes=host(machine, "web3"))
        for page, process in begun.items():
            wait_until(lambda page=page: answers(page), f"{process.log.name} is ready", 60)
