"""Where the text of a unit comes from: a file, the store, or a template."""

from pathlib import Path

from fleet.core.jobs import unit_options, unitfile
from fleet.ctl.invocation import Invocation
from fleet.ctl.registry import Refused


class MistypedOption(ValueError):  # noqa: N818 - what is wrong with a file
    """An option of a unit file that does not exist. The message has the line and the right name."""


def find_unit(ctl: Invocation, path: str) -> tuple[str, str]:
    """Return the name and the text of a unit.

    The path is tried as a file, then its name as a unit in the store. An instance of a template
    takes the template's text, from the file beside it or from the store. Raises UnitRefused,
    and MistypedOption for a file.
    """
    place = Path(path)
    name = place.name
    if place.is_file():
        return name, _read(ctl, place)
    known = ctl.cluster.jobs.get(name)
    if known is not None and known.text:
        return name, known.text
    template = unitfile.template_of(name)
    if template is None:
        raise Refused(f"no file {path} exists, and the store has no unit {name}")
    template_file = place.with_name(template)
    if template_file.is_file():
        return name, _read(ctl, template_file)
    known = ctl.cluster.jobs.get(template)
    if known is None or not known.text:
        raise Refused(
            f"neither {path} nor its template {template} is a file or a unit in the store"
        )
    return name, known.text


def _read(ctl: Invocation, place: Path) -> str:
    """Return a file's text with its line ends as they are: `read_text` would change them."""
    text = place.read_bytes().decode()
    found = unit_options.mistakes(unitfile.parse(text))
    for warning in found.warnings:
        ctl.progress(f"{place.name}: {warning}")
    if found.errors:
        raise MistypedOption(f"{place.name}: {'; '.join(found.errors)}")
    return text
