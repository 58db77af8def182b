"""Reads templates from below one directory, and never from outside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2

from confd.core.templates.render import Unreadable

TEMPLATE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class _Source:
    text: str
    signature: tuple[int, int, int] | None


class TemplateLoader(jinja2.BaseLoader):
    """Loads templates for Jinja.

    A template that was read stays in memory until `reload`, so a half-edited set of templates
    does not affect rendering.
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
        # Compared by text: a template that changed and changed back is not compiled again.
        return (
            source.text,
            f"{self.root}{template}",
            lambda: (now := self._sources.get(template)) is not None and now.text == source.text,
        )

    def reload(self, validate: Callable[[], None]) -> None:
        """Read changed templates again. If `validate` raises, the earlier ones stay in force."""
        before = dict(self._sources)
        for name, source in before.items():
            if source.signature is None or _signature(self._directory / name) != source.signature:
                del self._sources[name]
        try:
            validate()
        except BaseException:
            self._sources = before
            raise

    def _read(self, template: str) -> _Source:
        if "\0" in template:
            raise jinja2.TemplateNotFound(template)
        path = self._directory / template
        try:
            # The path is resolved before the test, so that no link leads outside.
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
