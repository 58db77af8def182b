"""A destination that is a mount point: it is written only in place, and nothing of it is lost."""

from pathlib import Path

import pytest

from rig.isolation import isolated

SET_UP = r"""
mkdir -p /tmp/confd/conf.d /tmp/confd/templates
run() { confd --onetime --confdir /tmp/confd --source env 2>>/tmp/log; }
mounted() { touch /tmp/$2; mount --bind $1 /tmp/$2; }
resource() {
  printf '[template]\nsrc = "a.j2"\nmode = "0640"\ndest = "/tmp/%s"\n%s\n' "$@" \
    >/tmp/confd/conf.d/$1.toml
}
text() { printf '%s\n' "$1" >/tmp/confd/templates/a.j2; }
many() { head -c $2 /dev/zero | tr '\0' $1; }
"""

BUSY = r"""
echo old >/tmp/real; mounted /tmp/real dest
text new
resource dest ''
if run; then exit 10; fi
grep -q 'Device or resource busy' /tmp/log
grep -q old /tmp/real
resource dest 'write = "in-place"'
run
grep -q new /tmp/real
test "$(stat -c %a /tmp/real)" = 640
run
test "$(grep -c event=written /tmp/log)" = 1
test -z "$(find /tmp -maxdepth 1 -name '.confd-*')"
"""

# The first file of the bundle is overwritten before the second one does not fit.
FULL = r"""
mkdir /tmp/small
mount -t tmpfs -o size=64k tmpfs /tmp/small
many o 20000 >/tmp/small/old
chmod 600 /tmp/small/old
echo first >/tmp/first
mounted /tmp/first a
mounted /tmp/small/old b
resource a 'bundle = "all"
write = "in-place"'
resource b 'bundle = "all"
write = "in-place"'
text "$(many n 100000)"
if run; then exit 10; fi
grep -q 'No space left on device' /tmp/log
many o 20000 | cmp - /tmp/small/old
test "$(stat -c %a /tmp/small/old)" = 600
test "$(cat /tmp/first)" = first
text short
run
test "$(cat /tmp/small/old)" = short
test "$(cat /tmp/first)" = short
"""

# One is a mount point, the other one is not.
BACKUPS = r"""
echo old >/tmp/real; mounted /tmp/real a
echo old >/tmp/b
chmod 600 /tmp/b /tmp/real
resource a 'write = "in-place"
backups = 2'
resource b 'write = "in-place"
backups = 2'
for text in one two; do text $text; run; done
for name in a b; do
  test "$(cat /tmp/$name)" = two
  test "$(cat /tmp/.$name.bak-* | sort | tr '\n' ' ')" = 'old one '
  test "$(stat -c %a:%h /tmp/.$name.bak-* | sort | tr '\n' ' ')" = '600:1 640:1 '
done
"""


@pytest.mark.parametrize("script", [BUSY, FULL, BACKUPS], ids=["busy", "full", "backups"])
def test_a_mount_point_is_written_only_in_place_and_never_lost(script: str, tmp_path: Path) -> None:
    done = isolated(SET_UP + script, tmp_path, timeout_s=60)
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
