"""Parses the output of the programs that know whether a reboot is needed."""

import re

# needrestart(1): 2 is an ABI-compatible kernel upgrade, 3 is a version upgrade.
KERNEL_OUTDATED = {"2", "3"}
# dnf exits with 1 if a reboot is needed, but also after an error: the message decides.
DNF_NEEDS = re.compile(r"reboot (is|should be) required|reboot is required", re.IGNORECASE)
DNF_CORE = re.compile(r"^\s*\*\s+(\S+)", re.MULTILINE)
# More than a table can show. These files list a package more than once.
REASONS_MAX = 20
PROBES = ("needrestart", "dnf", "update-engine")


def needrestart(output: str) -> str:
    """Parse the output of `needrestart -b`; return why a reboot is needed, or ""."""
    pairs = [line.partition(": ")[::2] for line in output.splitlines()]
    found = {name.strip(): value.strip() for name, value in pairs}
    if found.get("NEEDRESTART-KSTA") not in KERNEL_OUTDATED:
        return ""
    running, expected = found.get("NEEDRESTART-KCUR", "?"), found.get("NEEDRESTART-KEXP", "?")
    return f"needrestart: kernel {running} runs, {expected} is installed"


def dnf(code: int, output: str) -> str:
    """Parse the output of `dnf needs-restarting -r`; return why a reboot is needed, or ""."""
    if code != 1 or not DNF_NEEDS.search(output):
        return ""
    updated = sorted(set(DNF_CORE.findall(output)))[:REASONS_MAX]
    return f"dnf: {', '.join(updated) or 'core packages'} updated since the boot"


def sentinel(path: str, text: str, packages: str) -> str:
    """Return the reason in a file like /run/reboot-required and its list of packages."""
    names = list(dict.fromkeys(packages.split()))[:REASONS_MAX]
    if names:
        return f"{path}: {', '.join(names)}"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{path}: {lines[0].strip()[:200]}" if lines else path
