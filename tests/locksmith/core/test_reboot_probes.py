"""The output of programs that know whether a reboot is needed."""

import pytest

from locksmith.core import reboot_probes

OUTDATED = (
    "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-17-amd64\n"
    "NEEDRESTART-KEXP: 6.1.0-18-amd64\nNEEDRESTART-KSTA: {}\nNEEDRESTART-SVC: ssh.service\n"
)
DNF = (
    "Core libraries or services have been updated since boot-up:\n"
    "  * kernel-core\n  * systemd\n\nReboot is required to fully utilize these updates.\n"
)


@pytest.mark.parametrize(
    ("state", "needed"), [("0", False), ("1", False), ("2", True), ("3", True)]
)
def test_needrestart_reports_an_outdated_kernel(state: str, needed: bool) -> None:
    why = reboot_probes.needrestart(OUTDATED.format(state))
    assert ("6.1.0-18-amd64" in why) is needed


def test_dnf_counts_only_with_its_message() -> None:
    assert reboot_probes.dnf(1, DNF) == "dnf: kernel-core, systemd updated since the boot"
    assert reboot_probes.dnf(0, DNF) == ""
    assert reboot_probes.dnf(1, "Error: Failed to download metadata") == ""


def test_sentinel_lists_each_package_once() -> None:
    assert reboot_probes.sentinel("/run/r", "*** restart ***\n", "linux\nlinux\nlibc6\n") == (
        "/run/r: linux, libc6"
    )
    assert reboot_probes.sentinel("/run/r", "\nby hand\n", "") == "/run/r: by hand"
    assert reboot_probes.sentinel("/run/r", "", "") == "/run/r"
