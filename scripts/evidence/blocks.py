"""Parts of pages that hold results: between two comments, written from stored results.

    <!-- results: NAME -->
    ...
    <!-- end of results -->

`earlier/NAME/TABLE` is a table that a command printed and that was noted once, in
`experiments/results/earlier/NAME.json`, with its command and version. Where the command was not
kept, a line under the table names the commit that first told of it. `table/NAME/TABLE` is one that
an experiment of now wrote, in `experiments/results/NAME.json`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from flower_relay.comparison.statistics import median

from . import attacks, clean, published
from .figures import NAMES, shown, table
from .stored import FOLDER, ROOT, read_all
from .worlds import MEASURES, Duel, World, worlds_of

__all__ = ["BLOCK", "WRITTEN", "filled", "pages"]

WRITTEN = "<!-- Written by"
"""How a page begins that no hand changes."""

BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)


def pages() -> list[str]:
    """README and the pages of docs that are written by hand, with or without such blocks."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        path.relative_to(ROOT).as_posix()
        for path in found
        if not path.read_text("utf-8").startswith(WRITTEN)
    ]


def filled(text: str) -> str:
    """A page with every block as the stored results have it."""
    return BLOCK.sub(lambda found: f"{found[1]}{_block(found[2])}\n{found[3]}", text)


def _block(name: str) -> str:
    kind, _, rest = name.partition("/")
    if kind in _FOLDERS:
        return _stored_table(_FOLDERS[kind], *rest.split("/"))
    return _BLOCKS[name]()


_FOLDERS = {"earlier": FOLDER / "earlier", "table": FOLDER}


def _stored_table(folder: Path, file: str, name: str) -> str:
    found = json.loads((folder / f"{file}.json").read_text("utf-8"))["tables"][name]
    told = found.get("told")
    source = f"\n\n*First told in commit {told}. {found['commands'][0]}*" if told else ""
    return table(found["columns"], found["rows"]) + source


def _headline() -> str:
    """What README says: the relay beside the best averaging strategy, and where it loses."""
    worlds = worlds_of(read_all(clean.COMPARISONS))
    epochs = [duel for world in worlds if (duel := world.duel("epochs")) is not None]
    costs = [duel.found.median for duel in epochs]
    head = ["world", "client-epochs", "bytes", "seconds", "final"]
    return (
        f"Nobody hostile, {len(worlds)} worlds, everything tuned. Costs to a common target are "
        "divided by those of the cheapest averaging strategy, final accuracy is minus the best, in "
        f"points. The relay **loses {_lost(worlds, 'megabytes')} in bytes, "
        f"{_lost(worlds, 'like')} on the clock, {_lost(worlds, 'epochs')} in client-epochs**. In "
        f"those it wins {_won(worlds, 'epochs')}; their median is {median(costs).median:.2f}. Ties "
        "are *slanted*.\n\n"
        f"{_narrow(head, [_headline_row(world) for world in worlds])}"
    )


def _narrow(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without spaces: README counts its words."""
    return table(head, rows).replace(" | ", "|").replace("| ", "|").replace(" |", "|")


def _lost(worlds: Sequence[World], measure: str) -> str:
    return _count(worlds, measure, "loses")


def _won(worlds: Sequence[World], measure: str) -> str:
    return _count(worlds, measure, "wins")


def _count(worlds: Sequence[World], measure: str, verdict: str) -> str:
    duels = [duel for world in worlds if (duel := world.duel(measure)) is not None]
    return f"{sum(duel.verdict == verdict for duel in duels)} of {len(duels)}"


def _headline_row(world: World) -> Sequence[str]:
    known = {duel.measure: duel for duel in world.duels()}
    wanted = [MEASURES[name] for name in ("epochs", "megabytes", "like")]
    return [
        world.name.partition(", ")[0],
        *(_short(known.get(name)) for name in (*wanted, "final accuracy")),
    ]


def _short(duel: Duel | None) -> str:
    if duel is None:
        return "–"
    value = duel.found.median
    text = shown(value, ".2f") if duel.is_cost else shown(100 * value, "+.1f")
    return {"loses": f"**{text}**", "tie": f"*{text}*"}.get(duel.verdict, text)


def _hostile() -> str:
    """What README says of attacks: what the worst of them leaves."""
    found = attacks.attacked_in(read_all(attacks.COMPARISONS))
    rows = []
    for world, share in dict.fromkeys((each.world, each.share) for each in found):
        here = [each for each in found if (each.world, each.share) == (world, share)]
        strategies = [name for name in attacks.STRATEGIES if name in here[0].strategies]
        least = [min(_left(each, name) for each in here) for name in strategies]
        rows.append(
            [f"{world.partition(',')[0]}, {share:.0%}", *(shown(value, ".2f") for value in least)]
        )
    head = ["hostile", *(NAMES[name] for name in attacks.STRATEGIES)]
    return _narrow(head, rows)


def _left(each: attacks.Attacked, strategy: str) -> float:
    found = median(each.left(strategy)).median if strategy in each.clean else math.nan
    return found if math.isfinite(found) else math.inf


_BLOCKS: dict[str, Callable[[], str]] = {
    "headline": _headline, "hostile": _hostile, "published": published.in_short,
}  # fmt: skip
