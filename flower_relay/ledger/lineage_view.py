"""The lineage of models as people see it: a tree in the terminal, and a picture.

A chain of hundreds of models is one long line. So a line goes on below itself, at the
same depth, for as long as each model has one descendant, and only forks are indented.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from rich.text import Text
from rich.tree import Tree

from ..errors import LedgerError
from ..legible import legible
from ..mechanism.blocks import Publication
from ..mechanism.identity import short_name
from ..mechanism.lineage import Model
from ..mechanism.state import State
from .reading import steps
from .sealed import SealedBlock

__all__ = ["Family", "draw_family", "family_tree", "read_family"]

_MOST_LABELS = 80
"""Models up to which the picture names each."""

_WIDEST = _TALLEST = 60.0
"""Inches."""

_MOST_ROWS = 500
"""Lines of descent with a row to themselves; further ones share the last."""

_DEEPEST = 40
"""Forks one below another that are indented."""

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Recognised models in the order of their recognition, with names for people.

    Attributes
    ----------
    models : dict of name to Model
        Parents come before their children.
    owners : dict of name to str
        Who made each, fit to be shown.
    batons : frozenset of str
        The models from which lanes go on.
    title : str
        What is shown.
    children : dict of name to list of str
        By first parent.
    """

    models: dict[str, Model]
    owners: dict[str, str]
    batons: frozenset[str]
    title: str
    children: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """List the children."""
        for name, model in self.models.items():
            for parent in model.parents[:1]:
                self.children.setdefault(parent, []).append(name)

    def label(self, name: str) -> str:
        """A model in one line."""
        model = self.models[name]
        if not model.parents:
            return f"{legible(name[:12])}  the first model"
        merged = legible(", ".join(parent[:12] for parent in model.parents))
        made = f"average of {merged}" if len(model.parents) > 1 else self.owners[name]
        baton = "  ◀ baton" if name in self.batons else ""
        return (
            f"{legible(name[:12])}  round {model.version}  {made}  "
            f"{model.gain:+.4f} → {model.level:.4f}{baton}"
        )


def read_family(blocks: Iterable[SealedBlock], model: str | None = None) -> Family:
    """The models that a ledger recognises: all of them, or one and its ancestors.

    Parameters
    ----------
    blocks : iterable of SealedBlock
        The ledger.
    model : str, optional
        Beginning of the hash of a recognised model or of a published trail; a trail stands
        for the baton that was its last.

    Raises
    ------
    LedgerError
        When no model begins so, or several do.
    """
    state: State | None = None
    trails: dict[str, str] = {}
    for step in steps(blocks):
        state = step.state
        if isinstance(step.block, Publication):
            trails |= dict(zip(step.block.trails, step.block.batons, strict=True))
    assert state is not None  # steps yields, or raises
    known = dict(state.lineage.models)
    if model is None:
        return _family(state, known, f"all {len(known)} recognised models")
    found = _named(model, known, trails)
    tip = trails.get(found, found)
    above = {parent.name for parent in state.lineage.ancestors(tip)} | {tip}
    line = {name: each for name, each in known.items() if name in above}
    average = "" if tip == found else f", the trail that ends with {tip[:12]}"
    return _family(state, line, f"{found[:12]}{average}: {len(line) - 1} ancestors")


def _named(beginning: str, known: Collection[str], trails: Collection[str]) -> str:
    found = sorted({name for name in (*known, *trails) if name.startswith(beginning)})
    if len(found) == 1:
        return found[0]
    those = legible(", ".join(name[:16] for name in found[:5]))
    raise LedgerError(
        f"expected the beginning of one model's hash, found {beginning!r}, with which "
        + (f"{len(found)} begin: {those}." if found else "none begins.")
        + " `flower-relay ledger lineage RUN` shows the recognised models."
    )


def _family(state: State, models: dict[str, Model], title: str) -> Family:
    names = state.who.names
    owners = {
        name: "" if model.trainer is None else legible(short_name(names[model.trainer]), 24)
        for name, model in models.items()
    }
    batons = frozenset(lane.baton for lane in state.lanes)
    return Family(models=models, owners=owners, batons=batons, title=legible(title))


def family_tree(family: Family) -> Tree:
    """The tree for a terminal."""
    root = Tree(Text(family.title), guide_style="dim")
    waiting = deque((root, 0, name) for name, model in family.models.items() if not model.parents)
    while waiting:
        branch, depth, name = waiting.popleft()
        line: list[str] | None = [name]
        while line:
            twig = branch.add(Text(family.label(line[0])))
            below = family.children.get(line[0], [])
            line = below if len(below) == 1 else None
            if len(below) > 1:
                under = twig if depth < _DEEPEST else branch
                waiting += [(under, depth + 1, child) for child in below]
    return root


def draw_family(family: Family, path: Path) -> None:
    """The picture as SVG: generations from left to right, a row for each line of descent."""
    place = _places(family)
    across, down = zip(*place.values(), strict=True)
    ties = [
        (place[parent], place[name])
        for name, model in family.models.items()
        for parent in model.parents
    ]
    size = (min(_WIDEST, max(8.0, 0.7 * max(across))), min(_TALLEST, max(2.5, 0.6 * max(down) + 2)))
    with rc_context({"svg.hashsalt": "flower_relay", "svg.fonttype": "none"}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.add_collection(LineCollection(ties, colors="0.6", linewidths=1, zorder=1))
        axes.scatter(across, down, c=_colours(family), s=30, zorder=2)
        if len(family.models) <= _MOST_LABELS:
            for name, where in place.items():
                version, owner = family.models[name].version, family.owners[name]
                label = f"{legible(name[:6])}\nround {version}\n{owner}"
                axes.annotate(label, where, fontsize=6, xytext=(0, 6), textcoords="offset points",
                              ha="center", parse_math=False)  # fmt: skip
        axes.set(xlabel="generation", yticks=[])
        axes.set_title(family.title, parse_math=False)
        axes.set_ylim(max(down) + 0.5, -1.0)
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        with warnings.catch_warnings():  # a name may have letters that the font has not
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            figure.savefig(path, format="svg", metadata={"Date": None})


def _places(family: Family) -> dict[str, tuple[int, int]]:
    """Generation and row of each model.

    A line of first children has a row to itself from its beginning to its end; after that
    the row is free for another line.
    """
    generation: dict[str, int] = {}
    for name, model in family.models.items():
        above = [generation[parent] for parent in model.parents]
        generation[name] = 1 + max(above, default=-1)
    places: dict[str, tuple[int, int]] = {}
    ends: list[int] = []
    for name in family.models:
        if name in places:
            continue
        line = [name]
        while below := family.children.get(line[-1]):
            line.append(below[0])
        free = (row for row, end in enumerate(ends) if end < generation[name])
        row = min(next(free, len(ends)), _MOST_ROWS - 1)
        ends[row : row + 1] = [generation[line[-1]]]
        places |= {each: (generation[each], row) for each in line}
    return {name: places[name] for name in family.models}


def _colours(family: Family) -> list[str]:
    """A colour for each maker; grey for what nobody made."""
    makers = {owner: place for place, owner in enumerate(dict.fromkeys(family.owners.values()))}
    return [
        "0.5" if not owner else _COLOURS[makers[owner] % len(_COLOURS)]
        for owner in family.owners.values()
    ]
