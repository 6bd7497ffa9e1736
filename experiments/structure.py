"""The structure of the library, as its imports have it: floors, circles, sizes.

    python -m experiments.structure            # a table
    python -m experiments.structure --arrows   # every import between folders, with its file

An import may point down or stay on its floor. Folders that stand beside each other on a floor
do not import each other at all. The exit code is 1 where something is not as it should be: a
circle, an arrow up, more than `MOST_AT_ROOT` modules at the library's root, a rule that reaches
for the world outside (`WORLDLY`), or a test that imports an experiment.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from experiments import ROOT

__all__ = ["FLOORS", "Import", "arrows_up", "circles", "imports_of", "modules", "wrongs"]

PACKAGE = "flower_relay"

FLOORS = (
    ("comparison", "report", "cli"),
    ("federation", "economy"),
    ("node", "ledger"),
    ("transport", "wire", "store"),
    ("mechanism",),
    ("rules",),
    ("settings", "options", "errors", "legible", "files", "destinations"),
)
"""From the top down; an import of a module on a floor above is an arrow up."""

PURE = ("rules", "mechanism")
"""Folders of arrays in, arrays out: they know nothing of the world outside."""

WORLDLY = ("flwr", "torch", "sqlalchemy", "pathlib", "time")
"""What stands for it: Flower, training, databases, files and clocks."""

MOST_AT_ROOT = 16
"""Modules that may lie beside the library's folders."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """One module imports another, when it is loaded."""

    importer: str
    imported: str


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the library by its dotted name without the package's."""
    folder = root / PACKAGE
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def imports_of(root: Path = ROOT) -> list[Import]:
    """Imports at the top of modules, in functions too; those for type checkers are left out."""
    known = modules(root)
    found: list[Import] = []
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in _loaded(ast.parse(path.read_text())):
            for target in _targets(node, package):
                home = target if target in known else target.rpartition(".")[0]
                if home in known and home != name:
                    found.append(Import(importer=name, imported=home))
    return sorted(set(found), key=lambda each: (each.importer, each.imported))


def _loaded(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from _loaded(child)


def _targets(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for each in node.names:
            if each.name.startswith(f"{PACKAGE}."):
                yield each.name.partition(".")[2]
        return
    if node.level:
        parts = package.split(".") if package else []
        parts = parts[: len(parts) - node.level + 1]
    elif (node.module or "").split(".")[0] == PACKAGE:
        parts, module = [], (node.module or "").partition(".")[2]
        for each in node.names:
            yield f"{module}.{each.name}".strip(".")
        return
    else:
        return
    module = ".".join([*parts, *([node.module] if node.module else [])])
    for each in node.names:
        yield f"{module}.{each.name}".strip(".")


def floor_of(name: str) -> int | None:
    """How far from the top a module stands."""
    first = name.partition(".")[0]
    return next((number for number, floor in enumerate(FLOORS) if first in floor), None)


def arrows_up(found: list[Import]) -> list[Import]:
    """Imports of a module on a floor above, or beside on the same floor in another folder."""
    wrong: list[Import] = []
    for each in found:
        here, there = floor_of(each.importer), floor_of(each.imported)
        folders = [name.partition(".")[0] for name in (each.importer, each.imported)]
        if here is None or there is None or folders[0] == folders[1]:
            continue
        beside = here == there and here in (1, 2)
        if there < here or beside:
            wrong.append(each)
    return wrong


def circles(found: list[Import]) -> list[list[str]]:
    """Groups of modules that import each other, each in a circle."""
    after: dict[str, set[str]] = defaultdict(set)
    for each in found:
        after[each.importer].add(each.imported)
    reach = {name: _reached(name, after) for name in after}
    groups: list[list[str]] = []
    for name in sorted(reach):
        group = sorted(other for other in reach[name] if name in reach.get(other, ()))
        if name in reach[name] and group not in groups:
            groups.append(group)
    return groups


def _reached(start: str, after: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(after[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += after.get(name, ())
    return seen


def _at_root(known: dict[str, Path]) -> list[str]:
    """Modules that lie in no folder."""
    return [name for name, path in known.items() if "." not in name and path.stem != "__init__"]


def _packages(path: Path) -> set[str]:
    """First names of all that a file imports, wherever in it; for type checkers, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def wrongs(root: Path = ROOT) -> list[str]:
    """What is not as the floor plan has it, a line each."""
    known, found = modules(root), imports_of(root)
    told = [f"circle: {', '.join(group)}" for group in circles(found)]
    told += [f"up: {each.importer} imports {each.imported}" for each in arrows_up(found)]
    if (number := len(_at_root(known))) > MOST_AT_ROOT:
        told.append(f"root: {number} modules, expected {MOST_AT_ROOT} at most")
    for name, path in known.items():
        if name.partition(".")[0] in PURE:
            told += [f"world: {name} imports {each}" for each in sorted(_packages(path))
                     if each in WORLDLY]  # fmt: skip
    for path in sorted((root / "tests").rglob("*.py")):
        if "experiments" in _packages(path):
            told.append(f"test: {path.relative_to(root)} imports experiments")
    return told


def _functions(path: Path) -> list[tuple[int, str]]:
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _settings(known: dict[str, Path]) -> int:
    """How many fields `RelaySettings` has."""
    tree = ast.parse(known["settings"].read_text()) if "settings" in known else ast.Module([], [])
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    [fields] = [node.body for node in classes if node.name == "RelaySettings"] or [[]]
    return sum(isinstance(node, ast.AnnAssign) for node in fields)


def _table(root: Path) -> dict[str, object]:
    known, found = modules(root), imports_of(root)
    lines = {name: path.read_text().count("\n") for name, path in known.items()}
    sizes = [
        (size, f"{function} in {name}")
        for name, path in known.items()
        for size, function in _functions(path)
    ] or [(0, "none")]
    longest, largest = max(sizes), max((size, name) for name, size in lines.items())
    return {
        "modules": len(known),
        "modules at the root": len(_at_root(known)),
        "imports": len(found),
        "circles": len(circles(found)),
        "arrows up": len(arrows_up(found)),
        "longest function": f"{longest[0]} lines, {longest[1]}",
        "mean function": f"{sum(size for size, _ in sizes) / len(sizes):.1f} lines",
        "median file": f"{median(lines.values()):.0f} lines",
        "largest file": f"{largest[0]} lines, {largest[1]}",
        "settings": _settings(known),
    }


def _print_arrows(found: list[Import]) -> None:
    pairs = Counter(
        (each.importer.partition(".")[0], each.imported.partition(".")[0]) for each in found
    )
    for (here, there), number in sorted(pairs.items()):
        if here != there:
            print(f"{here:12} -> {there:14} {number}")


def main() -> int:
    """Print the structure, and what is wrong with it."""
    parser = argparse.ArgumentParser(description="Prints the structure of the library.")
    parser.add_argument("--arrows", action="store_true", help="print imports between folders")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of another checkout")
    chosen = parser.parse_args()
    for name, value in _table(chosen.root).items():
        print(f"{name:20} {value}")
    told = wrongs(chosen.root)
    print("\n".join(told), end="\n" if told else "")
    if chosen.arrows:
        _print_arrows(imports_of(chosen.root))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
