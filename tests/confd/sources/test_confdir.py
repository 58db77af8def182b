"""The configuration directory as it may be found."""

from pathlib import Path

import pytest

from confd.core.config.resource_file import BYTES_MAX
from confd.core.config.toml_errors import ResourceError
from confd.sources import confdir
from tests.confd.confdir_fixture import Confdir


def refused(confd: Confdir) -> str:
    with pytest.raises(ResourceError) as caught:
        confd.resources()
    return str(caught.value)


def test_resources_are_found_below_conf_d_in_order(tmp_path: Path) -> None:
    confd = Confdir(tmp_path)
    for name in ("b", "a"):
        confd.add(name, "x")
    text = (confd.path / "conf.d" / "b.toml").read_text().replace("out/b", "out/c")
    (confd.path / "conf.d" / "sub").mkdir()
    (confd.path / "conf.d" / "sub" / "c.toml").write_text(text)
    (confd.path / "conf.d" / "README").write_text("no resource")
    names = [resource.name for resource in confd.resources()]
    assert names == ["conf.d/a.toml", "conf.d/b.toml", "conf.d/sub/c.toml"]


def test_the_error_for_a_missing_directory_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        ResourceError, match=r"/conf\.d: no such directory: create it, or use --confdir"
    ):
        confdir.read_resources(tmp_path, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#" * (BYTES_MAX + 1), f"a.toml: larger than {BYTES_MAX} bytes"),
        (b"\n# \xff", "a.toml:2: not UTF-8 text: save it as UTF-8"),
    ],
)
def test_a_file_that_is_not_a_resource_is_rejected(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    confd = Confdir(tmp_path)
    (confd.path / "conf.d" / "a.toml").write_bytes(content)
    assert reason in refused(confd)


def test_an_unreadable_file_is_rejected(tmp_path: Path) -> None:
    confd = Confdir(tmp_path)
    (confd.path / "conf.d" / "a.toml").mkdir()
    assert refused(confd).endswith("a.toml: Is a directory")
