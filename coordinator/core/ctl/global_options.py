"""The options of coordctl that come before a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options as they were given. `tls_files` are the CA, the certificate and its key."""

    endpoints: str
    tls_files: tuple[str, str, str]
    username: str
    password_file: str
    timeout_s: float
    total_timeout_s: float
    no_sync: bool
    debug: bool
    output: str
    as_json: bool
