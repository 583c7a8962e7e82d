# SPDX-License-Identifier: GPL-2.0-or-later
"""Every scenario has a run in which what it claims is broken on purpose."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

DEMANDS = frozenset({"turns_red", "says_that_it_deviates"})
"""What runs a scenario and fails unless that does, for a reason."""
ROOT = Path(__file__).parents[2]
CONTROLS = tuple(sorted(Path(__file__).parent.glob("test_*.py")))


def scenarios() -> Iterator[tuple[str, str]]:
    """The module and the name of every function that is marked as a scenario."""
    for path in sorted((ROOT / "scenarios").rglob("test_*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            marks = node.decorator_list if isinstance(node, ast.FunctionDef) else []
            if any(_called(mark) == "scenario" for mark in marks):
                assert isinstance(node, ast.FunctionDef)
                yield module, node.name


def _called(node: ast.expr) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def controlled(path: Path) -> Iterator[tuple[str, str]]:
    """The scenarios of which a file of controls demands that they turn red, and why."""
    tree = ast.parse(path.read_text())
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    shared = {
        target.id: list(ast.walk(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for test in tree.body:
        inside = list(ast.walk(test)) if isinstance(test, ast.FunctionDef) else []
        if any(isinstance(one, ast.Call) and _called(one) in DEMANDS for one in inside):
            names = [one.id for one in inside if isinstance(one, ast.Name)]
            for one in [*inside, *(more for name in names for more in shared.get(name, ()))]:
                yield from _scenario(one, imported)


def _scenario(node: ast.AST, imported: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What a name stands for, or an attribute of a module."""
    if isinstance(node, ast.Name) and node.id in imported:
        yield imported[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = imported.get(node.value.id, ("", ""))
        yield f"{module}.{name}", node.attr


def test_every_scenario_has_a_control_that_names_the_reason() -> None:
    under_control = {one for path in CONTROLS for one in controlled(path)}
    alone = [one for one in scenarios() if one not in under_control]
    assert [f"{module}::{name}" for module, name in alone] == []
