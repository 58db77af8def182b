"""Checks of single fields that several kinds of objects share."""

import ipaddress
import re

from daemonkit.core import durations
from vulcan.core.config.errors import ModelError

# RFC 9110, 5.6.2. The bound is ours: no field of ours needs a longer name.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
# RFC 1035, 2.3.4: resolvers refuse longer labels and names. Container names may have underscores.
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_HOST_NAME_MAX = 254
# Longer times are a mistake, and timers and sockets cannot hold all of them.
DURATION_S_MAX = 366 * 86400.0
HEADER_VALUE = re.compile(r"[\x21-\x7e]*", re.ASCII)


def check_id(kind: str, id_: str) -> None:
    """Refuse an id that cannot be part of a key, or that nobody could read. Raises ModelError."""
    if not id_:
        raise ModelError(f"the {kind} id in the key is empty")
    if id_ in {".", ".."} or not id_.isprintable():
        raise ModelError(f"the {kind} id {id_!r} is not a name: use letters, digits, - and _")


def is_host(text: str) -> bool:
    """Whether the text is a host name or an IP address that a resolver accepts."""
    if len(text) <= _HOST_NAME_MAX and _HOST_NAME.fullmatch(text):
        return True
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def check_type(type_: str) -> None:
    """Refuse every Type but `http`. Raises ModelError."""
    if type_ != "http":
        raise ModelError(f'Type is "{type_}": only "http" is known')


def seconds(field: str, text: str, default_s: float) -> float:
    """Read a duration; empty and zero mean the default. Raises ModelError."""
    if not text:
        return default_s
    try:
        given_s = durations.parse(text)
    except ValueError as error:
        raise ModelError(f"{field}: {error}") from None
    if given_s > DURATION_S_MAX:
        raise ModelError(f"{field} is {text}: use at most a year")
    return given_s or default_s
