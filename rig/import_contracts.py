"""The two kinds of import rule that `pyproject.toml` states and import-linter checks.

A pattern is a dotted name in which `*` stands for one part and `**` for any number of them. It
matches the modules of that name and everything inside them.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class Allowed(Contract):
    """Modules that match `importers` import, of what matches `judged`, only what is `allowed`.

    Standard library modules are judged by `forbidden` and other libraries by `libraries`, where
    these are given.
    """

    type_name = "allowed"
    importers = fields.SetField(subfield=fields.StringField())
    judged = fields.SetField(subfield=fields.StringField())
    allowed = fields.SetField(subfield=fields.StringField(), required=False)
    libraries = fields.SetField(subfield=fields.StringField(), required=False)
    forbidden = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001
        """List the imports that the rule does not allow."""
        wrong = sorted(self._violations(graph))
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that breaks the rule."""
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} may not import {imported}", bold=False)
        output.new_line()

    def _violations(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        patterns: tuple[Any, Any, Any] = (self.importers, self.judged, self.allowed)
        importers, judged, allowed = map(_matcher, patterns)
        for importer in graph.modules:
            if graph.is_module_squashed(importer) or not importers.fullmatch(importer):
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                if graph.is_module_squashed(imported):
                    fine = self._is_fine(imported)
                else:
                    fine = not judged.fullmatch(imported) or bool(allowed.fullmatch(imported))
                if not fine:
                    yield importer, imported

    def _is_fine(self, library: str) -> bool:
        forbidden: Any = self.forbidden
        libraries: Any = self.libraries
        if forbidden is None:
            return True
        if library in sys.stdlib_module_names:
            return library not in forbidden
        return library in libraries


class Acyclic(Contract):
    """No module of ours imports itself through others."""

    type_name = "acyclic"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001
        """Remove the modules that are in no circle; what is left is in one, or between two."""
        ours = {module for module in graph.modules if not graph.is_module_squashed(module)}
        imports = {each: graph.find_modules_directly_imported_by(each) & ours for each in ours}
        importers = {each: graph.find_modules_that_directly_import(each) & ours for each in ours}
        before = -1
        while len(ours) != before:
            before = len(ours)
            ours = {each for each in ours if imports[each] & ours and importers[each] & ours}
        circle = {each: sorted(imports[each] & ours) for each in sorted(ours)}
        return ContractCheck(kept=not circle, metadata={"circle": circle})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that form a circle."""
        for importer, imported in check.metadata["circle"].items():
            output.print_error(f"{importer} imports {', '.join(imported)}", bold=False)
        output.new_line()


def _matcher(patterns: Iterable[str] | None) -> re.Pattern[str]:
    """Return an expression for the modules that match one of the patterns, and their insides."""
    one = r"[^.]+"
    parts = {"*": one, "**": rf"{one}(?:\.{one})*"}
    spelled = (
        r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split("."))
        for pattern in patterns or ()
    )
    names = "|".join(f"(?:{each})" for each in spelled) or "(?!)"
    return re.compile(rf"(?:{names})(?:\.{one})*")
