"""What coordctl's commands about users do, in etcdctl's words."""

from urllib.parse import quote

from coordinator.core.ctl.auth_results import UserList, UserResult, user_lines
from coordinator.core.ctl.render import go_json
from coordinator.ctl.access.auth_client import USERS, AuthApi
from coordinator.ctl.access.credentials import read_password
from coordinator.ctl.exit_codes import fail_plainly
from coordinator.ctl.invocation import Invocation
from daemonkit.host.terminal import echo


class UserCommands:
    """The commands. They end the program with etcdctl's exit code if they cannot be done."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def list_users(self) -> None:
        """Print the names of the users."""
        api = AuthApi(self._invocation)
        found = api.ask(USERS, UserList)
        if api.as_json:
            echo(go_json(found))
            return
        for user in found.users or ():
            echo(user.user)

    def get(self, name: str) -> None:
        """Print one user."""
        api = AuthApi(self._invocation)
        user = api.ask(_path(name), UserResult)
        for line in [go_json(user)] if api.as_json else user_lines(user):
            echo(line, keep="\t")

    def new_password(self, password_file: str) -> str:
        """Return the password of a new user."""
        return read_password(password_file, None, "New password")

    def add(self, name: str, password: str | None, roles: str, attributes: list[str]) -> None:
        """Create a user; with None it has no password."""
        api = AuthApi(self._invocation)
        if name in {user.user for user in api.ask(USERS, UserList).users or ()}:
            api.fail(f"User {name} already exists")
        content: dict[str, object] = {"user": name}
        if password is not None:
            content["password"] = password
        if roles:
            content["roles"] = roles.split(",")
        if attributes or password is None:  # an extension: etcd wants a password
            content["attributes"] = _pairs(attributes)
        api.change("PUT", _path(name), content)
        api.say(f"User {name} created", user=name)

    def passwd(self, name: str, password_file: str) -> None:
        """Change a password."""
        api = AuthApi(self._invocation)
        api.ask(_path(name), UserResult)
        password = self.new_password(password_file)
        api.change("PUT", _path(name), {"user": name, "password": password})
        api.say("Password updated", user=name)

    def update(self, name: str, attributes: list[str] | None, not_before: int | None) -> None:
        """Replace what only a coordinator has of a user."""
        content: dict[str, object] = {}
        if attributes is not None:
            content["attributes"] = _pairs(attributes)
        if not_before is not None:
            content["not_before"] = not_before
        if not content:
            fail_plainly("Nothing to update; please use `--attribute` or `--not-before`")
        api = AuthApi(self._invocation)
        api.ask(_path(name), UserResult)
        api.change("PUT", _path(name), {"user": name, **content})
        api.say(f"User {name} updated", user=name)

    def change_roles(self, name: str, verb: str, roles: str) -> None:
        """Grant or revoke roles."""
        if not roles:
            fail_plainly("No roles specified; please use `--roles`")
        api = AuthApi(self._invocation)
        api.ask(_path(name), UserResult)
        api.change("PUT", _path(name), {"user": name, verb: roles.split(",")}, once=True)
        api.say(f"User {name} updated", user=name)

    def remove(self, name: str) -> None:
        """Remove a user."""
        api = AuthApi(self._invocation)
        api.change("DELETE", _path(name), once=True)
        api.say(f"User {name} removed", user=name)


def _path(name: str) -> str:
    return f"{USERS}/{quote(name, safe='')}"


def _pairs(given: list[str]) -> dict[str, str]:
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            fail_plainly(f"--attribute {pair}: write NAME=VALUE, such as host=web3")
        found[name] = value
    return found
