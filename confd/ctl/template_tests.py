"""`confd test`: run the test cases of the templates."""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from confd.ctl import option_types
from daemonkit import options
from daemonkit.core.terminal_text import LINES, printable

if TYPE_CHECKING:
    from confd.core.config.resource import TemplateResource

BYTES_MAX = 1 << 20


def run_tests(
    *,
    confdir: option_types.Confdir = option_types.CONFDIR,
    prefix: option_types.Prefix = "",
) -> None:
    """Run the templates' test cases, without a store.

    A case is a table in CONFDIR/tests/*.toml: the keys, and the file expected from them.

    Exit codes: 0 all cases pass, 1 a case fails.
    """
    from confd.core.config.toml_errors import ResourceError
    from confd.core.templates.template_case import summary
    from confd.ctl.preview import read_resources, settings_of
    from confd.settings import EXIT_FAILED

    settings = settings_of(confdir, prefix, "store", None)
    directory = settings.confdir / "tests"
    try:
        found = dict(_failures(settings.confdir, read_resources(settings), directory))
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    if not found:
        raise options.Failure(f"no cases below {directory}", options.EXIT_USAGE)
    sys.stdout.write(printable(summary(found), LINES))
    raise typer.Exit(EXIT_FAILED if any(found.values()) else 0)


def _failures(
    confdir: Path, resources: "Iterable[TemplateResource]", directory: Path
) -> Iterator[tuple[str, str]]:
    """Yield the title of each case below `directory`, and why it fails, empty if it passes."""
    from confd.core.templates.render import Renderer
    from confd.core.templates.template_case import failure_of, parse_cases, render_case
    from confd.sources import host_functions
    from confd.sources.template_loader import TemplateLoader

    by_name = {resource.name: resource for resource in resources}
    loader = TemplateLoader(confdir)
    for path in sorted(directory.rglob("*.toml")):
        for case in parse_cases(str(path), _text(path)):
            title = f"{path.relative_to(directory)}: {case.name}"
            resource = by_name.get(f"conf.d/{case.resource}") or by_name.get(case.resource)
            if resource is None:
                yield title, f"there is no resource {case.resource}"
                continue
            renderer = Renderer(loader, loader.root, host_functions.all_functions(case.env))
            render = partial(render_case, renderer, resource, case)
            yield title, failure_of(case, render, partial(_read_golden, path.parent))


def _read_golden(directory: Path, name: str) -> str:
    return (directory / name).read_text()


def _text(path: Path) -> str:
    from confd.core.config.toml_errors import ResourceError

    try:
        text = path.read_text()
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResourceError(f"{path}: not UTF-8 text") from None
    if len(text) > BYTES_MAX:
        raise ResourceError(f"{path}: larger than {BYTES_MAX} characters")
    return text
