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


def share(spaces: Namespaces, *, install: bool) -> None:
    """Prepare what all hosts share: our tree and its libraries."""
    if not install:
        return
    _inside(
        spaces,
        f"""
        cd {spaces.state}
        mkdir -p extra/{SITE} extra/bin venv
        {_package(spaces.package) if spaces.package else LINK}
        echo "home = {SHIPPED}/python/bin" >extra/pyvenv.cfg
        ln -s {SHIPPED}/python/bin/{Path(sys.executable).resolve().name} extra/bin/python
        mount -t overlay -o ro,lowerdir=extra:{sys.prefix} overlay venv
        """,
    )


def _package(prefix: Path) -> str:
    """Return shell code that lays what pip installed over the libraries, without our tree's link.

    A character device 0/0 is an overlay's sign that a file below it is not there.
    """
    links = [path.name for path in Path(sys.prefix, SITE).glob("*slashetc*.pth")]
    gone = "\n".join(f"mknod extra/{SITE}/{link} c 0 0" for link in links)
    return f"cp -a {prefix}/lib extra/\n{gone}"


def prepare(spaces: Namespaces, hosts: Sequence[Host], *, install: bool) -> None:
    """Lay a writable copy of this machine's root directory for the last of the hosts."""
    host = hosts[-1]
    root = spaces.state / host.name
    masks = "\n".join(f"ln -sf /dev/null etc/systemd/system/{unit}" for unit in MASKED)
    script = f"""
        mkdir {root} {root}.upper {root}.work
        mount -t overlay -o lowerdir=/,upperdir={root}.upper,workdir={root}.work overlay {root}
        cd {root}
        rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires var/log/journal
        {masks}
        echo {host.machine_id} >etc/machine-id
        echo {host.name} >etc/hostname
        : >etc/fstab
        printf {shlex.quote(_names(hosts))} >etc/hosts
        printf {shlex.quote(NETWORK_UNIT.format(address=host.address))} \
          >etc/systemd/system/rig-network.service
        mkdir etc/systemd/system/multi-user.target.wants
        ln -s ../rig-network.service etc/systemd/system/multi-user.target.wants/
        """
    _inside(spaces, script + (_install(spaces.package) if install else ""))


def binds(spaces: Namespaces) -> list[str]:
    """Return the arguments of nspawn that mount our tree, its libraries and the interpreter."""
    places: dict[str, Path | str] = {"venv": spaces.state / "venv", "python": sys.base_prefix}
    if spaces.package is None:
        places["tree"] = ROOT
    return [f"--bind-ro={source}:{SHIPPED}/{name}" for name, source in places.items()]


def _names(hosts: Iterable[Host]) -> str:
    return "127.0.0.1 localhost\n" + "".join(f"{one.address} {one.name}\n" for one in hosts)


def _install(package: Path | None) -> str:
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
        source = package / "lib" / place if package else ROOT / "systemd" / kind
        lines += [f"cp {source}/* usr/lib/{place}/"]
    lines += ["systemd-sysusers --root=. slashetc.conf"]
    lines += ["systemd-tmpfiles --root=. --create slashetc.conf", ""]
    return "\n".join(lines)


def _inside(spaces: Namespaces, script: str) -> None:
    command = spaces.inside("bash", "-c", f"set -eu\n{script}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
