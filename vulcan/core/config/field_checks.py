"""Checks of single fields that several kinds of objects share."""

import re

from daemonkit.core import durations
from vulcan.core.config.errors import ModelError

# RFC 9110, 5.6.2. The bound is ours: no field of ours needs a longer name.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
HEADER_VALUE = re.compile(r"[\x21-\x7e]*", re.ASCII)


def check_id(kind: str, id_: str) -> None:
    """Refuse an empty id. Raises ModelError."""
    if not id_:
        raise ModelError(f"the {kind} id in the key is empty")


def check_type(type_: str) -> None:
    """Refuse every Type but `http`. Raises ModelError."""
    if type_ != "http":
        raise ModelError(f'Type is "{type_}": only "http" is known')


def seconds(field: str, text: str, default_s: float) -> float:
    """Read a duration; empty and zero mean the default. Raises ModelError."""
    if not text:
        return default_s
    try:
        return durations.parse(text) or default_s
    except ValueError as error:
        raise ModelError(f"{field}: {error}") from None
