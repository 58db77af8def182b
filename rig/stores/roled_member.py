"""A member of the store with TLS and roles, and the certificates of those who use it."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from coordinator.client import Tls
from rig.fleet_authority import FleetAuthority
from rig.processes import Coordinator
from slashetc.core import roles
from slashetc.store.cluster_api import ClusterApi


class RoledMember:
    """Users are known by their certificates. It enforces the roles that `slashetc` ships."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = FleetAuthority(directory / "pki")
        self._admin = self.person("admin", "admin")
        self.url = ""

    def person(self, name: str, role: str) -> Tls:
        """Return the files of a person."""
        pair = self._authority.user(name, role)
        return Tls(str(self._authority.ca_file), str(pair.cert), str(pair.key))

    def host(self, name: str) -> Tls:
        """Return the files of a host."""
        pair = self._authority.host(name)
        return Tls(str(self._authority.ca_file), str(pair.cert), str(pair.key))

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the member."""
        pair = self._authority.member("h1", "127.0.0.1")
        files = ("--cert-file", str(pair.cert), "--key-file", str(pair.key))
        flags = (*files, "--trusted-ca-file", str(self._authority.ca_file))
        context = ssl.create_default_context(cafile=str(self._authority.ca_file))
        with Coordinator(self._directory, *flags, context=context) as member:
            self.url = member.url
            with self._api() as api:
                for each in roles.SHIPPED:
                    api.put_role(each.document())
                api.put_user({"user": "admin", "roles": ["admin"], "attributes": {}})
                api.put_user({"user": "root", "password": "of a test", "attributes": {}})
                api.enable_auth()
            yield self

    def allow(self, user: str, *given: str, attributes: Mapping[str, str] | None = None) -> None:
        """Give a user these roles and no others."""
        document: dict[str, Any] = {"user": user, "roles": list(given)}
        with self._api() as api:
            api.put_user({**document, "attributes": dict(attributes or {})})

    def put_role(self, document: Mapping[str, Any]) -> None:
        """Add a role."""
        with self._api() as api:
            api.put_role(document)

    def refused(self) -> list[dict[str, Any]]:
        """Return what the store has refused, by its audit log."""
        (log,) = self._directory.rglob("audit.log")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [each for each in lines if each.get("outcome") == "refused"]

    def _api(self) -> ClusterApi:
        return ClusterApi([self.url], self._admin)
