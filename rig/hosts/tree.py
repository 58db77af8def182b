"""The files of a host before its first boot."""

import hashlib
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from rig.hosts.host import Host
from rig.hosts.namespaces import Namespaces
from rig.processes import ROOT

# A unit with ProtectHome= cannot see a checkout or an interpreter below /root or /home.
SHIPPED = "/opt/slashetc"

SITE = "lib/python{}.{}/site-packages".format(*sys.version_info)

LINK = f"echo {SHIPPED}/tree >extra/{SITE}/_slashetc.pth"

# dpkg unpacks a package in seconds, and longer on a busy machine.
INSTALL_S = 180.0

NETWORK_UNIT = """
[Unit]
DefaultDependencies=no
Before=network.target network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip link set host0 up
ExecStart=/bin/ip addr replace {address}/24 dev host0
[Install]
WantedBy=multi-user.target
"""

# The directories below /usr/lib where a package puts the directories of systemd/.
DATA = {
    "system": "systemd/system",
    "system-preset": "systemd/system-preset",
    "sysusers.d": "sysusers.d",
    "tmpfiles.d": "tmpfiles.d",
}

# Units of this machine that must not run, or cannot work, on a copy of it.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "dpkg-db-backup.timer",
    "e2scrub_all.timer", "fstrim.timer", "getty@tty1.service",
    "systemd-networkd.service", "systemd-networkd-wait-online.service",
    "systemd-tmpfiles-clean.timer",
)  # fmt: skip


def machine_id(rig: str, name: str) -> str:
    """Return a machine-id for a host, different in each rig."""
    return hashlib.sha256(f"{rig}/{name}".encode()).hexdigest()[:32]


# What this machine's units enabled, and its logs.
EMPTY = "rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires var/log/journal"


def share(spaces: Namespaces, *, install: bool) -> None:
    """Prepare what all hosts share: our tree and its libraries, or an installed package."""
    if not install:
        return
    if spaces.package is not None:
        _inside(spaces, _installed(spaces, spaces.package))
        return
    _inside(
        spaces,
        f"""
        cd {spaces.state}
        mkdir -p extra/{SITE} extra/bin venv
        {LINK}
        echo "home = {SHIPPED}/python/bin" >extra/pyvenv.cfg
        ln -s {SHIPPED}/python/bin/{Path(sys.executable).resolve().name} extra/bin/python
        mount -t overlay -o ro,lowerdir=extra:{sys.prefix} overlay venv
        """,
    )


def _installed(spaces: Namespaces, package: Path) -> str:
    """Return shell code in which dpkg installs a package once, into a layer below all hosts.

    As in any image that is being made, no systemd runs there. The triggers of other packages, such
    as the index of man pages, have nothing to do with us.
    """
    return f"""
        cd {spaces.state}
        mkdir layer layer.work installing
        own=upperdir=layer,workdir=layer.work
        mount -t overlay -o lowerdir={spaces.base},$own overlay installing
        cd installing
        {EMPTY}
        mount --bind /dev dev
        mount -t proc proc proc
        cp {package} tmp/slashetc.deb
        chroot . dpkg --no-triggers --install tmp/slashetc.deb
        rm tmp/slashetc.deb
        umount dev proc
        cd ..
        umount installing
        """


def prepare(spaces: Namespaces, hosts: Sequence[Host], *, install: bool) -> None:
    """Lay a writable copy of this machine's root directory for the last of the hosts."""
    host = hosts[-1]
    root = spaces.state / host.name
    has_layer = install and spaces.package is not None
    layers = f"{spaces.state}/layer:{spaces.base}" if has_layer else spaces.base
    masks = "\n".join(f"ln -sf /dev/null etc/systemd/system/{unit}" for unit in MASKED)
    script = f"""
        mkdir {root} {root}.upper {root}.work
        own=upperdir={root}.upper,workdir={root}.work
        mount -t overlay -o lowerdir={layers},$own overlay {root}
        cd {root}
        {"" if has_layer else EMPTY}
        {masks}
        echo {host.machine_id} >etc/machine-id
        echo {host.name} >etc/hostname
        : >etc/fstab
        printf {shlex.quote(_names(hosts))} >etc/hosts
        printf {shlex.quote(NETWORK_UNIT.format(address=host.address))} \
          >etc/systemd/system/rig-network.service
        mkdir -p etc/systemd/system/multi-user.target.wants
        ln -s ../rig-network.service etc/systemd/system/multi-user.target.wants/
        """
    _inside(spaces, script + (_install() if install and not spaces.package else ""))


def binds(spaces: Namespaces) -> list[str]:
    """Return the arguments of nspawn that mount our tree, its libraries and the interpreter."""
    if spaces.package is not None:
        return []
    places = {"venv": spaces.state / "venv", "python": sys.base_prefix, "tree": ROOT}
    return [f"--bind-ro={source}:{SHIPPED}/{name}" for name, source in places.items()]


def _names(hosts: Iterable[Host]) -> str:
    return "127.0.0.1 localhost\n" + "".join(f"{one.address} {one.name}\n" for one in hosts)


def _install() -> str:
    """Return shell code that puts our programs and units where a package would."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    lines = [f"mkdir -p .{SHIPPED}"]
    library = sysconfig.get_config_var("INSTSONAME")
    if sys.base_prefix != "/usr" and library:
        # The interpreter was linked to its library in a place that is not there on a host, and
        # the distribution's library of the same name is another build.
        place = f"usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
        lines += [f"ln -sf {SHIPPED}/python/lib/{library} {place}/"]
    for program, entry in scripts.items():
        module, _, function = entry.partition(":")
        text = f"#!{SHIPPED}/venv/bin/python\\nimport {module}\\n{module}.{function}()\\n"
        lines += [f"rm -f usr/bin/{program}; printf '{text}' >usr/bin/{program}"]
        lines += [f"chmod 755 usr/bin/{program}"]
    for kind, place in DATA.items():
        lines += [f"cp {ROOT}/systemd/{kind}/* usr/lib/{place}/"]
    lines += ["systemd-sysusers --root=. slashetc.conf"]
    lines += ["systemd-tmpfiles --root=. --create slashetc.conf", ""]
    return "\n".join(lines)


def _inside(spaces: Namespaces, script: str) -> None:
    command = spaces.inside("bash", "-c", f"set -eu\n{script}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, done.stderr
