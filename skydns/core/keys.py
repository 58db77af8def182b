"""The keys of skydns in the store. A key below the prefix is a name, read backwards.

`/skydns/local/skydns/web/x1` is the name `x1.web.skydns.local.` The key `/skydns/config` holds
settings instead. Some names below `dns` of a domain have a meaning of their own:

*   `apex.dns.DOMAIN`: the services of the domain itself.
*   `ns.dns.DOMAIN`: its name servers.
*   `local.dns.DOMAIN`: stands for the name that `--local` says.
*   `NAME.stub.dns.DOMAIN`: the servers of the stub zone NAME.
"""

import re

from skydns.core.dns import name as names
from skydns.core.dns.name import Name

CONFIG_SEGMENT = "config"
APEX: Name = (b"apex", b"dns")
NAME_SERVERS: Name = (b"ns", b"dns")
LOCAL: Name = (b"local", b"dns")
STUB_LABEL = b"stub"
STUB_ZONES: Name = (STUB_LABEL, b"dns")
# Printable ASCII without the slash and the backslash.
_SEGMENT = re.compile(rb"[!-\-0-\[\]-~]+")


def name_of(key: str, prefix: str) -> Name:
    """Return the name that a key stands for; ValueError says why it stands for none."""
    segments = key.removeprefix(prefix).split("/")[1:]
    if not segments:
        raise ValueError("the key has no name below the prefix")
    for segment in segments:
        if "." in segment:
            raise ValueError(f"the segment {segment!r} has a dot; write one segment for each label")
        if segment != segment.lower():
            raise ValueError(f"the segment {segment!r} has upper-case letters; write lower case")
    return names.parse(".".join(reversed(segments)))


def key_of(name: Name, prefix: str) -> str:
    """Return the key of a name whose labels are segments."""
    return "/".join((prefix, *(label.decode() for label in reversed(name))))


def can_be_key(name: Name) -> bool:
    """Return whether every label of the name can be a segment of a key."""
    return all(_SEGMENT.fullmatch(label) for label in name)


def config_key(prefix: str) -> str:
    """Return the key that holds settings."""
    return f"{prefix}/{CONFIG_SEGMENT}"


def is_config(key: str, prefix: str) -> bool:
    """Return whether the key holds settings instead of a service."""
    config = f"{prefix}/{CONFIG_SEGMENT}"
    return key == config or key.startswith(config + "/")
