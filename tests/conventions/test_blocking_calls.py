"""Calls that block, in code that may run on an event loop.

One blocking call on a loop holds up every client of a daemon: a resolver that does not answer, a
password's hash, a slow disk. Each call below is in one function, and says why no loop waits for it,
or why it may. Commands (`ctl`, `cli`) have no loop.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.conventions.test_tidy import SHIPPED, TREES, name_of

BLOCKING = frozenset((
    "hashlib.pbkdf2_hmac",
    "hashlib.scrypt",
    "http.client.HTTPConnection",
    "http.client.HTTPSConnection",
    "os.fdatasync",
    "os.fsync",
    "os.popen",
    "os.sync",
    "os.system",
    "os.wait",
    "os.waitpid",
    "requests.Session",
    "requests.delete",
    "requests.get",
    "requests.head",
    "requests.post",
    "requests.put",
    "requests.request",
    "select.select",
    "shutil.copyfile",
    "shutil.copyfileobj",
    "shutil.copytree",
    "shutil.rmtree",
    "socket.create_connection",
    "socket.getaddrinfo",
    "socket.getfqdn",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.gethostbyname_ex",
    "socket.getnameinfo",
    "subprocess.Popen",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.run",
    "time.sleep",
    "urllib.request.urlopen",
))  # fmt: skip

ALLOWED = {
    # On the thread of confd's processor.
    "confd.apply.files.overwrite os.fsync",
    "confd.sources.host_functions._addresses socket.getaddrinfo",
    # On a thread while a member starts; it serves nobody yet.
    "coordinator.bootstrap.discovery_client.__init__ requests.Session",
    "coordinator.bootstrap.discovery_client._call time.sleep",
    "coordinator.bootstrap.discovery_client.wait time.sleep",
    "coordinator.bootstrap.existing_cluster._ask requests.Session",
    # The blocking client of the store. Daemons call it on threads.
    "coordinator.client.http.connection_pool._new http.client.HTTPConnection",
    "coordinator.client.http.start_patience.repeat time.sleep",
    # A member's loop waits for its log: nothing may leave before it is on the disk.
    "coordinator.storage.file_system.make_directory os.sync",
    "coordinator.storage.file_system.sync os.fdatasync",
    "coordinator.storage.file_system.sync_directory os.fsync",
    # The child has ended when it is waited for.
    "coordinator.storage.forked_child.__init__ os.waitpid",
    "coordinator.storage.forked_child._reap os.waitpid",
    # Files of a few kilobytes, when a host's plan or a daemon's state changes.
    "daemonkit.host.atomic_file.stage os.fsync",
    "daemonkit.host.atomic_file.sync_directory os.fsync",
    # On the thread of `daemonkit.process.check_thread`.
    "daemonkit.core.passwords._derived hashlib.scrypt",
    # The blocking form of `run_async`, for threads.
    "daemonkit.process.run._readable select.select",
    "daemonkit.process.run.run subprocess.Popen",
    # Before the event loop is made.
    "fleet.agent.facts.address_towards socket.getaddrinfo",
    # Each check and each webhook runs on a thread.
    "locksmith.host.blockers.alerts_firing requests.get",
    "locksmith.host.blockers.url_failed requests.get",
    "locksmith.store.events._post_once requests.post",
    "locksmith.store.store_quorum._is_at socket.getaddrinfo",
    # When an agent starts, before its loop.
    "slashetc.authority.key_store._systemd_creds subprocess.run",
    # On threads of the agent, or in commands.
    "slashetc.host.units.systemctl subprocess.run",
    "slashetc.join.join_client._ask http.client.HTTPSConnection",
    # Commands, which have no loop.
    "slashetc.join.joining._repeated time.sleep",
    "slashetc.join.joining.leave shutil.rmtree",
    "slashetc.join.moving.export shutil.copyfile",
    "slashetc.join.moving.export shutil.rmtree",
    "slashetc.join.moving.take shutil.copyfile",
    "slashetc.join.rotating._wait time.sleep",
    "slashetc.store.cluster_api.wait_for_leader time.sleep",
    "slashetc.store.member_tls._wait time.sleep",
    "slashetc.doctor.disk_probe._syncs os.fdatasync",
    "slashetc.doctor.port_probe._connect socket.getaddrinfo",
    "slashetc.status.status_command.status time.sleep",
    "vulcan.proxy.sinks._call urllib.request.urlopen",
}


def blocking_calls() -> Iterator[str]:
    """Yield `module.function call` for each blocking call."""
    for path in SHIPPED:
        module = name_of(path).removesuffix(".py").replace("/", ".")
        if ".ctl." in module or module.rpartition(".")[2].endswith("cli"):
            continue
        names = imported(TREES[path])
        for function in ast.walk(TREES[path]):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in own_calls(function):
                    head, dot, rest = dotted(call.func).partition(".")
                    if (name := names.get(head, head) + dot + rest) in BLOCKING:
                        yield f"{module}.{function.name} {name}"


def imported(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for, wherever it is imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                names[each.asname or top] = each.name if each.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of a function, without those of the functions inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from own_calls(node)


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
        case _:
            return "?"


def test_every_blocking_call_is_off_the_event_loop_or_has_a_reason() -> None:
    assert sorted(set(blocking_calls())) == sorted(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "import socket\ndef f(): socket.getaddrinfo('h', 1)",
        "from hashlib import scrypt as hashed\ndef f(): return [hashed(b'')]",
        "async def f():\n import urllib.request\n urllib.request.urlopen('u')",
        "import time as t\nclass A:\n async def f(self): t.sleep(1)",
    ],
)
def test_a_blocking_call_is_found_however_it_is_imported(text: str) -> None:
    tree = ast.parse(text)
    names = imported(tree)
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = [dotted(call.func).partition(".") for each in functions for call in own_calls(each)]
    assert any(names.get(head, head) + dot + rest in BLOCKING for head, dot, rest in found)
