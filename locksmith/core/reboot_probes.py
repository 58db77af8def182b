"""What the programs that know of needed reboots print, read without running them."""

import re

# needrestart(1): 2 is an upgrade with the same ABI, 3 one of the version.
KERNEL_OUTDATED = {"2", "3"}
# dnf exits with 1 for "reboot" and for any error of its own: the message decides.
DNF_NEEDS = re.compile(r"reboot (is|should be) required|reboot is required", re.IGNORECASE)
DNF_CORE = re.compile(r"^\s*\*\s+(\S+)", re.MULTILINE)
# More than a table shows; packages repeat themselves in these files.
REASONS_MAX = 20


def needrestart(output: str) -> str:
    """Read `needrestart -b`; return why a reboot is needed, or ""."""
    pairs = [line.partition(": ")[::2] for line in output.splitlines()]
    found = {name.strip(): value.strip() for name, value in pairs}
    if found.get("NEEDRESTART-KSTA") not in KERNEL_OUTDATED:
        return ""
    running, expected = found.get("NEEDRESTART-KCUR", "?"), found.get("NEEDRESTART-KEXP", "?")
    return f"needrestart: kernel {running} runs, {expected} is installed"


def dnf(code: int, output: str) -> str:
    """Read `dnf needs-restarting -r`; return why a reboot is needed, or ""."""
    if code != 1 or not DNF_NEEDS.search(output):
        return ""
    updated = sorted(set(DNF_CORE.findall(output)))[:REASONS_MAX]
    return f"dnf: {', '.join(updated) or 'core packages'} updated since the boot"


def sentinel(path: str, text: str, packages: str) -> str:
    """Read a file like /run/reboot-required and the list of packages beside it."""
    names = list(dict.fromkeys(packages.split()))[:REASONS_MAX]
    if names:
        return f"{path}: {', '.join(names)}"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{path}: {lines[0].strip()[:200]}" if lines else path
