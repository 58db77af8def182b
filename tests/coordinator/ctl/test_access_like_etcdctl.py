"""`user`, `role` and `auth` print, exit and work as those of Debian's etcdctl."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.processes import Coordinator, Etcd
from tests.coordinator.ctl.etcdctl_comparison import (
    Outcome,
    Server,
    run_etcdctl,
    run_here,
    serving,
)

SCRIPT = """
user list
user list extra
user get nobody
user get
user get a b
user add
user add root:rootpw
user add alice:pw
user add bob:pw
user get root
user list
role list
role list extra
role add
role add app
role add app
role add root
role get app
role get nosuch
role get
role grant app --path '/app/*' --read
role grant app -path '/app/x' -write
role grant app --path '/both/*' --readwrite
role grant app --path '/both/*' --rw
role grant app
role grant app --path '/x'
role grant app --path '/x' --read --write
role grant app --path 'x' --read
role grant nosuch --path /x --read
role revoke app --path '/app/*' --read
role revoke app --path '/zzz' --read
role revoke app
role get app
role list
user grant alice --roles app
user grant alice --roles app
user grant alice
user grant nobody --roles app
user get alice
user revoke alice --roles app
user revoke alice --roles app
user revoke alice
user grant alice --roles app
user remove
user remove nobody
user remove bob
role remove
role remove nosuch
auth disable
auth enable extra
auth enable
user list
user get alice
set /open 1
-u root:rootpw user list
-u root:bad user list
-u root:rootpw auth enable
-u alice:pw set /both/a 1
-u alice:pw get /both/a
-u alice:bad get /both/a
-u alice:pw user list
-u root:rootpw role get guest
-u root:rootpw role remove guest
set /open 2
get /open
-u alice:pw set /both/a 2
-u alice:pw get /both/a
-u alice:pw set /app/x 1
-u alice:pw get /app/x
-u alice:pw get /open
-u alice:pw rm /open
-u root:rootpw get /open
-u root:rootpw role remove root
-u root:rootpw user remove root
-u root:rootpw user grant alice --roles root
-u alice:pw get /open
-u root:rootpw user remove alice
-u root:rootpw role remove app
-u root:rootpw auth disable
auth disable
get /open
user list
"""
REASON = re.compile(r"user \w+ \(roles: \w+\): [\w /]+")
GUESTS_CAPABILITIES = "Cluster:\n\tinfo\n\tmetrics\n\tdiscovery\n"


def play(program: Callable[..., Outcome], url: str) -> list[tuple[str, Outcome]]:
    return [(line, program(url, *shlex.split(line))) for line in SCRIPT.strip().splitlines()]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Outcome]]:
    with serving(tmp_path_factory.mktemp("oracle") / "etcd", Etcd) as url:
        return play(run_etcdctl, url)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("program", "kind"),
    [(run_here, Etcd), (run_here, Coordinator), (run_etcdctl, Coordinator)],
    ids=["coordctl at etcd", "coordctl at coordinator", "etcdctl at coordinator"],
)
def test_commands_about_access_print_the_same_as_etcdctl(
    tmp_path: Path,
    expected: list[tuple[str, Outcome]],
    program: Callable[..., Outcome],
    kind: Server,
) -> None:
    with serving(tmp_path / "ours", kind) as url:
        different = [
            f"{line}\n  wanted {wanted}\n  got    {got}"
            for (line, wanted), (_, got) in zip(expected, play(program, url), strict=True)
            if shown(got) != shown(wanted)
        ]
    assert not different, "\n".join(different)


def shown(outcome: Outcome) -> tuple[int, str, str]:
    """Return what must be the same: not the reason of a refusal, nor what etcd does not have."""
    err = REASON.sub("Insufficient credentials", outcome.err)
    return outcome.code, outcome.out.replace(GUESTS_CAPABILITIES, ""), err


def test_a_user_that_exists_is_not_added_again(etcd: Etcd) -> None:
    # etcdctl changes its password, because it looks for a user of the name `carol:two`.
    assert run_here(etcd.url, "user", "add", "carol:one").code == 0
    again = run_here(etcd.url, "user", "add", "carol:two")
    assert (again.code, again.err) == (1, "User carol already exists\n")


def test_what_only_a_coordinator_has_is_written_and_shown(tmp_path: Path) -> None:
    with serving(tmp_path / "store", Coordinator) as url:

        def coordctl(*words: str, code: int = 0, stdin: bytes = b"") -> str:
            done = run_here(url, *words, stdin=stdin)
            assert done.code == code, (words, done)
            return done.out + done.err

        coordctl("role", "add", "host")
        coordctl("role", "grant", "host", "--path", "/hosts/{host}/*", "--rw")
        coordctl("role", "grant", "host", "--path", "/sem", "--own", "holders,semaphore")
        coordctl("role", "grant", "host", "--cluster", "info,metrics")
        assert coordctl("role", "get", "host") == (
            "Role: host\nKV Read:\n\t/hosts/{host}/*\nKV Write:\n\t/hosts/{host}/*\n"
            "KV Own:\n\t/sem holders semaphore\nCluster:\n\tinfo\n\tmetrics\n"
        )
        coordctl("role", "revoke", "host", "--cluster", "metrics")
        coordctl("role", "revoke", "host", "--path", "/sem", "--own", "holders,semaphore")
        assert coordctl("role", "get", "host").endswith(
            "KV Write:\n\t/hosts/{host}/*\nCluster:\n\tinfo\n"
        )
        coordctl("user", "add", "host:h1", "--no-password", "--attribute", "host=h1")
        coordctl("user", "grant", "host:h1", "--roles", "host")
        assert coordctl("user", "get", "host:h1") == (
            "User: host:h1\nRoles:  host\nAttribute: host=h1\n"
        )
        before = coordctl("why-denied", "host:h1", "write", "/hosts/h2/status", code=1)
        assert before.endswith("\nNote: auth is not enabled: everybody may do everything now.\n")
        coordctl("user", "add", "root", "--new-password-file", "-", stdin=b"rootpw\n")
        coordctl("auth", "enable")
        root = ("-u", "root:rootpw")
        why = (*root, "why-denied", "host:h1")
        assert "/hosts/{host}/*" in coordctl(*why, "write", "/hosts/h1/status")
        denied = coordctl(*why, "write", "/hosts/h2/status", code=1)
        assert denied == "no role permits to write /hosts/h2/status\n"
        assert "use one of read, list" in coordctl(*why, "wirte", "/x", code=1)
        coordctl(*root, "user", "update", "host:h1", "--not-before", "5")
        assert "Not-Before: 5" in coordctl(*root, "user", "get", "host:h1")
        assert "Attribute: host=h1" in coordctl(*root, "user", "get", "host:h1")
        assert coordctl(*root, "user", "passwd", "root", "--new-password-file", "-", stdin=b"new")
        assert coordctl(*root, "user", "list", code=1) == "Insufficient credentials\n"
        assert coordctl("-u", "root:new", "user", "list") == "host:h1\nroot\n"
