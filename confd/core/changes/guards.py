"""Checks of a rendered text by confd itself, before any check_cmd runs."""

from confd.core.config.resource import Guard, TemplateResource
from confd.core.keyspace.reader import Reader
from confd.core.templates.formats import check_format
from confd.core.templates.functions import FunctionError


class GuardFailed(Exception):  # noqa: N818 - what the guard did
    """A guard stopped a rendered text. The message contains no part of the text."""


def check_required_keys(guard: Guard, reader: Reader) -> None:
    """Check that every pattern of `require` matches a key. Raises GuardFailed."""
    for pattern in guard.require:
        try:
            is_there = bool(reader.matching(pattern))
        except FunctionError as error:
            raise GuardFailed(f"require: {error}") from None
        if not is_there:
            raise GuardFailed(f"require: no key matches {pattern!r}")


def check_stale(resource: TemplateResource, made: int, stale: int) -> None:
    """Check how many files a for_each leaves: `made` of now, and `stale` ones to remove.

    A store that lost its keys must not make the host lose its files. Raises GuardFailed.
    """
    guard, before = resource.guard, made + stale
    if stale and not made and not guard.remove_all:
        raise GuardFailed(
            f"for_each: no key matches {resource.for_each!r}, and {stale} files would be removed:"
            ' if this is intended, remove them, or set on_no_items = "remove"'
        )
    if stale and made and guard.shrink_max is not None and stale > before * guard.shrink_max:
        raise GuardFailed(
            f"max_shrink: from {before} to {made} files is more than {guard.shrink_max:.0%}:"
            " if this is intended, remove the files"
        )


def check_content(guard: Guard, content: bytes, current: bytes | None) -> None:
    """Check the format and the size of a text. Raises GuardFailed, NotWellFormed."""
    if guard.output_format:
        check_format(guard.output_format, content)
    if len(content) < guard.min_bytes:
        raise GuardFailed(
            f"min_bytes: the file would have {len(content)} bytes, fewer than {guard.min_bytes}"
        )
    if guard.shrink_max is None or current is None:
        return
    if len(content) < len(current) * (1 - guard.shrink_max):
        raise GuardFailed(
            f"max_shrink: from {len(current)} to {len(content)} bytes is more than"
            f" {guard.shrink_max:.0%}: if this is intended, remove the file"
        )
