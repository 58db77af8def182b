"""The global options, between their parsing and their use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as they were given."""

    endpoints: str
    tls_files: tuple[str, str, str]
    username: str
    timeout_s: float
    total_timeout_s: float
    no_sync: bool
    debug: bool
    output: str
    as_json: bool
