"""The files of the package's control archive that are made from what is in it."""

from collections.abc import Iterable, Mapping

# The interpreter of Debian 12: the libraries of the virtual environment are compiled for it.
PYTHON = (3, 11)
DEPENDS = (
    f"python3 (>= {PYTHON[0]}.{PYTHON[1]})",
    f"python3 (<< {PYTHON[0]}.{PYTHON[1] + 1})",
    "libc6 (>= 2.34)",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "systemd",
    "default-dbus-system-bus | dbus-system-bus",
)
MAINTAINER = "slashetc maintainers <maintainers@slashetc.invalid>"
SUMMARY = "replicated keys for a fleet of hosts, and daemons that follow them"
_ABOUT = """\
 A small, durable store of keys for fleets of Linux hosts, and daemons that
 follow it: DNS from keys (skydns), an HTTP proxy (vulcand), files from
 templates (confd), units on hosts (fleet), and reboots one at a time
 (locksmith). When you change a key, every host follows within a second.
 .
 The package has all its libraries inside. It enables no daemon."""


def control(version: str, size_kib: int) -> str:
    """Return the file `control`."""
    fields = {
        "Package": "slashetc",
        "Version": version,
        "Architecture": "amd64",
        "Maintainer": MAINTAINER,
        "Installed-Size": str(size_kib),
        "Depends": ", ".join(DEPENDS),
        "Section": "admin",
        "Priority": "optional",
        "Description": SUMMARY,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items()) + _ABOUT + "\n"


def changelog(version: str, date: str) -> str:
    """Return Debian's changelog, which names this version only; CHANGELOG.md has the news."""
    entry = "  * See CHANGELOG.md.gz in this directory."
    return f"slashetc ({version}) bookworm; urgency=medium\n\n{entry}\n\n -- {MAINTAINER}  {date}\n"


def md5sums(sums: Mapping[str, str]) -> str:
    """Return the file `md5sums` of these sums by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def conffiles(paths: Iterable[str]) -> str:
    """Return the file `conffiles`."""
    return "".join(f"/{path}\n" for path in sorted(paths))
