"""What coordctl's commands about access control do."""

from urllib.parse import urlencode

import msgspec

from coordinator.core.ctl.auth_results import IssuedToken
from coordinator.core.ctl.render import go_json
from coordinator.ctl.access.auth_client import AUTH, AuthApi
from coordinator.ctl.invocation import Invocation
from daemonkit.host.terminal import echo

DENIED = 1


class AccessAnswer(msgspec.Struct, frozen=True):
    """The response of /v2/auth/why."""

    allowed: bool
    why: str = ""
    note: str = ""


class AuthCommands:
    """The commands. They end the program with etcdctl's exit code if they cannot be done."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def enable(self) -> None:
        """Switch access control on."""
        api = AuthApi(self._invocation)
        api.change("PUT", f"{AUTH}/enable", once=True)
        api.say("Authentication Enabled", enabled=True)

    def disable(self) -> None:
        """Switch access control off."""
        api = AuthApi(self._invocation)
        api.change("DELETE", f"{AUTH}/enable", once=True)
        api.say("Authentication Disabled", enabled=False)

    def token(self, ttl_s: int, prefixes: list[str] | None) -> None:
        """Print a token."""
        api = AuthApi(self._invocation)
        asked = {"ttl_s": ttl_s} | ({} if prefixes is None else {"prefixes": prefixes})
        body = api.change("POST", f"{AUTH}/token", asked)
        found = msgspec.json.decode(body, type=IssuedToken)
        echo(go_json(found) if api.as_json else found.token)

    def why_denied(self, user: str, operation: str, key: str) -> int:
        """Print what a user may do with a key, and return the exit code: 0 if it may."""
        api = AuthApi(self._invocation)
        query = urlencode({"user": user, "op": operation, "key": key})
        found = api.ask(f"{AUTH}/why?{query}", AccessAnswer)
        if api.as_json:
            echo(go_json(found))
        else:
            echo(f"{found.why}\nNote: {found.note}." if found.note else found.why)
        return 0 if found.allowed else DENIED
