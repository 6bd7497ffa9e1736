"""The structure of the library, as its imports have it: floors, circles, sizes.

    python -m experiments.structure            # a table
    python -m experiments.structure --arrows   # every import between folders, with its file

An import may point down or stay on its floor. Two floors that stand beside each other
(`BESIDE`) do not import each other at all.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

__all__ = ["FLOORS", "Import", "arrows_up", "circles", "imports_of", "modules"]

ROOT = Path(__file__).parents[1]
PACKAGE = "flower_relay"

FLOORS = (
    ("comparison", "report", "cli"),
    ("federation", "economy"),
    ("node", "ledger"),
    ("transport", "wire", "store"),
    ("mechanism",),
    ("rules",),
    ("settings", "options", "errors", "legible", "durable", "regular_files", "destinations"),
)
"""From the top down; an import of a module on a floor above is an arrow up."""

_DOORS = ("mods", "aliases", "__init__")
"""Modules that only pass names on: they stand on no floor."""


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


def _loaded(node: ast.AST) -> Iterator[ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.ImportFrom):
            yield child
        else:
            yield from _loaded(child)


def _targets(node: ast.ImportFrom, package: str) -> Iterator[str]:
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


def _functions(path: Path) -> list[tuple[int, str]]:
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def main() -> None:
    """Print the structure."""
    parser = argparse.ArgumentParser(description="Prints the structure of the library.")
    parser.add_argument("--arrows", action="store_true", help="print imports between folders")
    chosen = parser.parse_args()
    from flower_relay import RelaySettings

    known, found = modules(), imports_of()
    lines = {name: path.read_text().count("\n") for name, path in known.items()}
    sizes = [
        (size, f"{function} in {name}")
        for name, path in known.items()
        for size, function in _functions(path)
    ]
    longest, largest = max(sizes), max((size, name) for name, size in lines.items())
    rows = {
        "modules": len(known),
        "modules at the root": sum("." not in n for n, p in known.items() if p.stem != "__init__"),
        "imports": len(found),
        "circles": len(circles(found)),
        "arrows up": len(arrows_up(found)),
        "longest function": f"{longest[0]} lines, {longest[1]}",
        "mean function": f"{sum(size for size, _ in sizes) / len(sizes):.1f} lines",
        "median file": f"{median(lines.values()):.0f} lines",
        "largest file": f"{largest[0]} lines, {largest[1]}",
        "settings": len(fields(RelaySettings)),
    }
    for name, value in rows.items():
        print(f"{name:20} {value}")
    for group in circles(found):
        print("circle:", ", ".join(group))
    for each in arrows_up(found):
        print("up:", each.importer, "imports", each.imported)
    if chosen.arrows:
        pairs = Counter(
            (each.importer.partition(".")[0], each.imported.partition(".")[0]) for each in found
        )
        for (here, there), number in sorted(pairs.items()):
            if here != there:
                print(f"{here:12} -> {there:14} {number}")


if __name__ == "__main__":
    main()
