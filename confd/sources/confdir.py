"""The configuration directory: resource files in conf.d, templates in templates, read safely."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2

from confd.core.config.resource import BYTES_MAX, ResourceError, TemplateResource, parse_all
from confd.core.templates.render import Unreadable

TEMPLATE_BYTES_MAX = 1 << 20


def resources(confdir: Path, prefix: str) -> tuple[TemplateResource, ...]:
    """Read every `*.toml` below conf.d. Raises ResourceError."""
    directory = confdir / "conf.d"
    if not directory.is_dir():
        raise ResourceError(f"{directory}: no such directory: create it, or name another --confdir")
    texts = {
        os.path.relpath(path, confdir): _text(path) for path in sorted(directory.rglob("*.toml"))
    }
    return parse_all(texts, prefix=prefix)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    if len(data) > BYTES_MAX:
        raise ResourceError(f"{path}: larger than {BYTES_MAX} bytes: not a resource file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ResourceError(f"{path}:{line}: not UTF-8 text: save it as UTF-8") from None


@dataclass(frozen=True, slots=True)
class _Source:
    text: str
    signature: tuple[int, int, int] | None


class Templates(jinja2.BaseLoader):
    """Loads templates from below one directory, and nothing from outside it.

    What was read once stays until `renew`: a set that is half edited changes no rendering.
    """

    def __init__(self, confdir: Path) -> None:
        self._directory = confdir / "templates"
        self._sources: dict[str, _Source] = {}
        self.root = f"{self._directory}/"

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Read one template. Raises TemplateNotFound, Unreadable."""
        del environment
        if template not in self._sources:
            self._sources[template] = self._read(template)
        source = self._sources[template]
        # By the text, so that one that changed and changed back is not compiled again.
        return (
            source.text,
            f"{self.root}{template}",
            lambda: (now := self._sources.get(template)) is not None and now.text == source.text,
        )

    def renew(self, judge: Callable[[], None]) -> None:
        """Read again what changed. If the judge raises, all stays as it was, and it is raised."""
        before = dict(self._sources)
        for name, source in before.items():
            if source.signature is None or _signature(self._directory / name) != source.signature:
                del self._sources[name]
        try:
            judge()
        except BaseException:
            self._sources = before
            raise

    def _read(self, template: str) -> _Source:
        if "\0" in template:
            raise jinja2.TemplateNotFound(template)
        path = self._directory / template
        try:
            # Resolved before the test, so that no link leads out.
            if not path.resolve().is_relative_to(self._directory.resolve()):
                raise Unreadable("the template is outside the templates directory")
            signature = _signature(path)
            data = path.read_bytes()
        except FileNotFoundError:
            raise jinja2.TemplateNotFound(template) from None
        except OSError as error:
            raise Unreadable(f"the template cannot be read: {error.strerror}") from None
        if len(data) > TEMPLATE_BYTES_MAX:
            raise Unreadable(f"the template is larger than {TEMPLATE_BYTES_MAX} bytes")
        try:
            return _Source(data.decode(), signature)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Unreadable(f"the template is not UTF-8 text in its line {line}") from None


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
