"""A destination that is a mount point: it is written only with write_in_place."""

from pathlib import Path

from rig.isolation import isolated

SCRIPT = """
mkdir -p /tmp/confd/conf.d /tmp/confd/templates
echo old >/tmp/real; touch /tmp/dest; mount --bind /tmp/real /tmp/dest
printf 'new\\n' >/tmp/confd/templates/a.j2
resource() { printf '[template]\\nsrc = "a.j2"\\ndest = "/tmp/dest"\\nmode = "0640"\\n%s\\n' "$1"; }
resource '' >/tmp/confd/conf.d/a.toml
run() { confd --onetime --confdir /tmp/confd --source env 2>>/tmp/log; }
if run; then exit 10; fi
grep -q 'Device or resource busy' /tmp/log
grep -q old /tmp/real
resource 'write = "in-place"' >/tmp/confd/conf.d/a.toml
run
grep -q new /tmp/real
test "$(stat -c %a /tmp/real)" = 640
run
test "$(grep -c event=written /tmp/log)" = 1
test -z "$(find /tmp -maxdepth 1 -name '.confd-*')"
"""


def test_a_mount_point_is_written_only_with_write_in_place(tmp_path: Path) -> None:
    done = isolated(SCRIPT, tmp_path, timeout_s=40)
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
