import re

from rig.processes import PACKAGES, ROOT


def test_ci_installs_the_package_that_a_skip_names() -> None:
    (installed,) = re.findall(r"PACKAGES=\((.*?)\)", (ROOT / ".ci/run").read_text(), re.DOTALL)
    # Every Debian has mount.
    assert set(PACKAGES.values()) - {"mount"} <= set(installed.split())
