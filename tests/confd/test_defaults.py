"""`confd` without any option, in namespaces of its own."""

from pathlib import Path

from rig.isolation import isolated
from rig.processes import require

SCRIPT = r"""
cp -a /etc /tmp/etc
mount --bind /tmp/etc /etc
soon() {
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done
  tail -n 20 /tmp/*.log; echo "not within its time: $*"; exit 11
}
mkdir -p /etc/confd/conf.d /etc/confd/templates
printf '[template]\nsrc = "a.j2"\ndest = "/tmp/out"\nkeys = ["/app"]\n' >/etc/confd/conf.d/a.toml
echo '{{ getv("/app/v", "none") }}' >/etc/confd/templates/a.j2
coordinator --data-dir /tmp/data >/tmp/coordinator.log 2>&1 &
confd >/tmp/confd.log 2>&1 &
soon curl -fsS 127.0.0.1:2384/ready
grep -x none /tmp/out
coordctl set /app/v one
soon grep -q index= /tmp/confd.log
grep -x none /tmp/out
kill -HUP %2
soon grep -x one /tmp/out
test "$(stat -c %a /tmp/out)" = 644
test -z "$(find /tmp -maxdepth 1 -name '.out*' -o -maxdepth 1 -name '.confd-*')"
kill %2
wait %2
if grep -E ' (warning|error) ' /tmp/confd.log; then exit 10; fi
"""


def test_every_default_of_confd_works(tmp_path: Path) -> None:
    require("curl")
    done = isolated(SCRIPT, tmp_path, timeout_s=100)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
