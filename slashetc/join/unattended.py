"""Where a host that nobody logs in to finds the line that lets it join.

A machine gets it as the systemd credential `slashetc.join` (SMBIOS, `SetCredential`, a container's
`--set-credential`), or as the file /etc/slashetc/join (cloud-init's write_files). The text is what
`slashetc token` prints: `slashetc join URL --token TOKEN`, or just URL and TOKEN.
"""

import re
from pathlib import Path

from slashetc.core.tokens import FORM
from slashetc.host.checks import CheckFailed

NAME = "slashetc.join"
FILE = "join"
TEXT_BYTES_MAX = 8192
_TOKEN = re.compile(rf"{FORM}\.[\w-]+\.[\w-]+")


def read(config_dir: Path, credentials: str) -> tuple[str, str] | None:
    """Return URL and token, None if there are none. Raises CheckFailed, OSError."""
    places = [config_dir / FILE]
    if credentials:
        places.insert(0, Path(credentials) / NAME)
    for path in places:
        if path.exists():
            return parse(path.read_bytes()[:TEXT_BYTES_MAX].decode(errors="replace"), str(path))
    return None


def parse(text: str, place: str) -> tuple[str, str]:
    """Return URL and token in a text. Raises CheckFailed."""
    token = _TOKEN.search(text)
    urls = [
        word
        for word in text.split()
        if not word.startswith(("-", FORM)) and word not in {"slashetc", "join", "sudo"}
    ]
    if token is None or not urls:
        raise CheckFailed(
            f"{place} has no URL and token: write into it what `slashetc token` prints, such as "
            "`slashetc join https://10.0.0.1:2378 --token slashetc1.…`"
        )
    return urls[0], token[0]
