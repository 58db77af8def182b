"""What coordctl's commands about roles do, in etcdctl's words."""

from urllib.parse import quote

from coordinator.core.ctl.auth_results import (
    KeyRights,
    OwnEntry,
    RoleList,
    RolePermissions,
    RoleResult,
    role_lines,
)
from coordinator.core.ctl.render import go_json
from coordinator.ctl.access.auth_client import ROLES, AuthApi
from coordinator.ctl.exit_codes import fail_plainly
from coordinator.ctl.invocation import Invocation
from daemonkit.host.terminal import echo

EVERY_KEY = "*"


class RoleCommands:
    """The commands. They end the program with etcdctl's exit code if they cannot be done."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def list_roles(self) -> None:
        """Print the names of the roles."""
        api = AuthApi(self._invocation)
        found = api.ask(ROLES, RoleList)
        if api.as_json:
            echo(go_json(found))
            return
        for role in found.roles or ():
            echo(role.role)

    def get(self, name: str) -> None:
        """Print one role."""
        api = AuthApi(self._invocation)
        role = api.ask(_path(name), RoleResult)
        for line in [go_json(role)] if api.as_json else role_lines(role):
            echo(line, keep="\t")

    def add(self, name: str) -> None:
        """Create a role."""
        api = AuthApi(self._invocation)
        if name in {role.role for role in api.ask(ROLES, RoleList).roles or ()}:
            api.fail(f"Role {name} already exists")
        kv: dict[str, list[str]] = {"read": [], "write": []}
        api.change("PUT", _path(name), {"role": name, "permissions": {"kv": kv}}, once=True)
        api.say(f"Role {name} created", role=name)

    def remove(self, name: str) -> None:
        """Remove a role."""
        api = AuthApi(self._invocation)
        api.change("DELETE", _path(name), once=True)
        api.say(f"Role {name} removed", role=name)

    def change(  # noqa: PLR0913, PLR0917 - one parameter an option
        self, name: str, verb: str, path: str, how: tuple[bool, ...], own: str, cluster: str
    ) -> None:
        """Grant or revoke permissions."""
        rights = _permissions(path, how, own, cluster)
        api = AuthApi(self._invocation)
        api.ask(_path(name), RoleResult)
        api.change("PUT", _path(name), {"role": name, verb: rights}, once=True)
        api.say(f"Role {name} updated", role=name)


def _path(name: str) -> str:
    return f"{ROLES}/{quote(name, safe='')}"


def _permissions(
    path: str, how: tuple[bool, ...], own: str, cluster: str
) -> dict[str, object] | RolePermissions:
    capabilities = tuple(cluster.split(",")) if cluster else None
    if not path:
        if capabilities is None or any(how) or own:
            fail_plainly("No path specified; please use `--path`")
        return RolePermissions(cluster=capabilities)
    if not path.startswith("/") and path != EVERY_KEY:
        fail_plainly(f"Not canonical path; please use `--path=/{path}`")
    if sum(how) + bool(own) != 1:
        fail_plainly("Please specify exactly one of --read, --write or --readwrite")
    read, write, both = how
    if own:
        listed, _, counter = own.partition(",")
        kv = KeyRights(own=(OwnEntry(path, listed, counter),))
    else:
        kv = KeyRights((path,) if read or both else (), (path,) if write or both else ())
    return RolePermissions(kv, capabilities)
