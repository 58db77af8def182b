"""The TLS files of a client: which authority it trusts, and the certificate it shows."""

import os
from dataclasses import dataclass

from coordinator.client.core.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. Without `ca_file` the well-known authorities are trusted.

    BadRequest if a file cannot be read, or if only one of certificate and key is given.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise BadRequest("a client certificate needs both --cert-file and --key-file")
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path and not os.access(path, os.R_OK):
                raise BadRequest(f"{path}: cannot be read; name a PEM file this user may read")
