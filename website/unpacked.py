"""Names of one assignment, `A, B = ...`, which a static reading of a module leaves out."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class Unpacked(griffe.Extension):
    """Adds such names to their module, so that another may pass them on."""

    def on_module_members(self, *, node: Any, mod: griffe.Module, **_: Any) -> None:
        """Look through the statements of a module that was read."""
        for statement in getattr(node, "body", ()):
            targets = statement.targets if isinstance(statement, ast.Assign) else ()
            for name in (name for target in targets if isinstance(target, ast.Tuple) for name in target.elts):
                if isinstance(name, ast.Name) and name.id not in mod.members:
                    mod.set_member(name.id, griffe.Attribute(name.id, lineno=name.lineno, endlineno=name.end_lineno))
