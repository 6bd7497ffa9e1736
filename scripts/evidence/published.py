"""The page of tables that others published, with our figures beside theirs.

    python -m scripts.evidence.published FOLDER    # cells of a comparison -> published/ours.json

What others measured is in `published/theirs.json`, with its source. The command takes from each
finished cell of `experiments/comparisons/li-lyu-*.toml` and `flamby-heart.toml` what the tables
show.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flower_relay.comparison.files import read_results

from .figures import table
from .stored import FOLDER

__all__ = ["in_short", "kept", "page"]

OURS, THEIRS = FOLDER / "published" / "ours.json", FOLDER / "published" / "theirs.json"
_TAIL = 0.9
"""Li and Lyu report the mean over the last tenth of the rounds."""

Row = dict[str, Any]
_NAMES = {"relay-untested": "relay untested", "relay": "relay with tests", "fedavg": "FedAvg"}
_RELAYS = ("relay-untested", "relay")
_MODELS = {
    "linear": "logistic regression", "li-mlp": "perceptron with dropout", "li-lenet5": "LeNet-5",
}  # fmt: skip

_HEAD = """# Published tables

These tables were published by others. Their numbers stand as they gave them. Ours were played in
their setting, with their learning rates. Nothing was tuned by us.
"""

_LI_LYU = """## Li and Lyu: sequential beside parallel averaging, on MNIST

There are 500 clients and 10,000 trainings: their 1,000 rounds of ten. A training is K steps of
plain SGD on batches of 20. Each client holds one class or two (C), by the extended Dirichlet
split. A figure is the mean test accuracy in per cent over the last tenth of the run. Theirs are
means of three seeds, ours are of one. A dash was not played yet; the command plays it.

Three things differ. Our participants keep a fifth of their cases for examining, so they train
on fewer. Our split is drawn by their rule, not read from their files. What we test is the
published trail, where they test the last model.

Ours were played by the seventh and the eighth rules, which differ in pay alone.
"""

_FLAMBY = """## FLamby: heart disease by hospital

There are four hospitals, FLamby's rules, split and scaling, a logistic model, batches of 4, and
15 rounds of 100 steps in each hospital. FLamby's metric is the mean accuracy over hospitals,
each counted once. The pooled metric counts each patient once. Both are in per cent, means of
five seeds. Brackets hold the lowest and the highest seed. FLamby's Cyclic hands nothing on: each
hospital trains a copy of its own. Our hospitals keep a fifth of their patients for examining.
"""


def kept(folder: Path) -> list[Row]:
    """What the tables show of a comparison's finished cells."""
    return [_row(found) for found in read_results(folder).cells]


def _row(found: Mapping[str, Any]) -> Row:
    cell, records = found["cell"], found["records"]
    name, _, own = cell["strategy"].partition(":")
    settings = cell["settings"] | dict(each.split("=") for each in own.split(",") if each)
    end = records[-1]
    late = [r["accuracy"] for r in records if r["epochs"] > _TAIL * end["epochs"]]
    return {
        "data": cell["data"],
        "partition": cell["partition"],
        "strategy": name,
        "steps": int(settings["local-steps"]),
        "rate": float(settings["learning-rate"]),
        "seed": cell["seed"],
        "trainings": end["epochs"],
        "evaluations": end["evaluations"],
        "tail": round(100 * float(np.mean(late)), 2),
        "end": round(100 * end["accuracy"], 2),
        "groups": round(100 * found["final"].get("group_accuracy", 0.0), 2),
    }


def page() -> str:
    """The page: theirs and ours side by side."""
    ours, theirs = _stored(OURS), _stored(THEIRS)
    return "\n".join(
        [
            _HEAD,
            _losses(ours, theirs),
            _LI_LYU,
            _li_lyu(ours, theirs["li-lyu"]),
            _commands("li-lyu-logistic", "li-lyu-mlp", "li-lyu-lenet5"),
            f"Theirs: {theirs['li-lyu']['source']}.\n",
            _FLAMBY,
            _flamby(ours, theirs["flamby-heart"]),
            _commands("flamby-heart"),
            f"Theirs: {theirs['flamby-heart']['source']}.\n",
        ]
    )


def in_short() -> str:
    """In how many of Li and Lyu's cells the relay with tests is above both of their columns."""
    ours, rows = _stored(OURS), _stored(THEIRS)["li-lyu"]["rows"]
    found = [(_of(ours, "tail", {**_place(row), "strategy": "relay"}), row) for row in rows]
    above = [float(np.mean(values)) > max(row["values"]) for values, row in found if values]
    return (
        "In Li and Lyu's setting (MNIST, 500 clients), the relay with tests ends above their "
        f"averaging and sequential training in {sum(above)} of {len(above)} cells."
    )


def _losses(ours: Sequence[Row], theirs: Mapping[str, Any]) -> str:
    """Where a relay is below the best that was published."""
    lines = []
    for row in theirs["li-lyu"]["rows"]:
        place, best = _place(row), max(row["values"])
        for name in _RELAYS:
            found = _of(ours, "tail", {**place, "strategy": name})
            if found and np.mean(found) < best:
                lines.append(
                    f"- **{_MODELS[row['model']]}, C {row['classes']}, K {row['steps']}**: "
                    f"{_NAMES[name]} has {np.mean(found):.2f}, and the better of the two has "
                    f"{best:.2f}."
                )
    rows = theirs["flamby-heart"]["rows"]
    for name in _RELAYS:
        for key, title, column in (("groups", "mean over hospitals", "mean"),
                                   ("end", "pooled", "pooled")):  # fmt: skip
            found = _of(ours, key, {"data": "heart-flamby", "strategy": name})
            best = max(row[column] for row in rows if "pooled data" not in row["method"])
            if found and np.mean(found) < best:
                lines.append(
                    f"- **heart disease by hospital, {title}**: {_NAMES[name]} has "
                    f"{np.mean(found):.1f}, and the best that was published has {best:.1f}."
                )
    return "## Where the relay loses\n\n" + ("\n".join(lines) or "- Nowhere yet.") + "\n"


def _commands(*names: str) -> str:
    lines = [
        f"flower-relay compare run --config experiments/comparisons/{name}.toml --out runs/{name}"
        for name in names
    ]
    return "\n".join(["```bash", *lines, "```\n"])


def _li_lyu(ours: Sequence[Row], theirs: Mapping[str, Any]) -> str:
    names, rows = _MODELS, []
    for row in theirs["rows"]:
        found = [_mean(ours, "tail", **_place(row), strategy=name) for name in _RELAYS]
        shown = [f"{value:.2f}" for value in row["values"]]
        rows.append([names[row["model"]], str(row["classes"]), str(row["steps"]), *shown, *found])
    head = ["model", "C", "K", *theirs["columns"], "relay untested", "relay with tests"]
    return table(head, rows) + "\n"


def _place(row: Row) -> Row:
    """Where one of Li and Lyu's rows was played."""
    return {
        "data": f"mnist-scaled@{row['model']}", "steps": row["steps"],
        "partition": f"extended:{row['classes']}",
    }  # fmt: skip


def _flamby(ours: Sequence[Row], theirs: Mapping[str, Any]) -> str:
    rows = [
        [row["method"], "FLamby", f"{row['rate']:g}", f"{row['mean']:.1f}", f"{row['pooled']:.1f}"]
        for row in theirs["rows"]
    ]
    played = [row for row in ours if row["data"] == "heart-flamby"]
    for name, rate in dict.fromkeys((row["strategy"], row["rate"]) for row in played):
        place = {"data": "heart-flamby", "strategy": name, "rate": rate}
        figures = [_spread(played, key, **place) for key in ("groups", "end")]
        rows.append([f"**{_NAMES[name]}**", "ours", f"{rate:g}", *figures])
    head = ["method", "played by", "rate", "mean over hospitals", "pooled"]
    return table(head, rows) + "\n"


def _of(ours: Sequence[Row], key: str, place: Mapping[str, Any]) -> list[float]:
    return [row[key] for row in ours if all(row[name] == v for name, v in place.items())]


def _mean(ours: Sequence[Row], key: str, **place: Any) -> str:
    found = _of(ours, key, place)
    return f"{np.mean(found):.2f}" if found else "–"


def _spread(ours: Sequence[Row], key: str, **place: Any) -> str:
    found = _of(ours, key, place)
    return f"{np.mean(found):.1f} [{min(found):.1f}, {max(found):.1f}]"


def _stored(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _keep(folder: Path) -> None:
    """Put a folder's rows in the place of those of the same cells."""
    fresh = kept(folder)
    known: Callable[[Row], tuple[Any, ...]] = lambda row: tuple(  # noqa: E731
        row[name] for name in ("data", "partition", "strategy", "steps", "rate", "seed")
    )
    rows = {known(row): row for row in (*_stored(OURS), *fresh)}
    lines = ",\n".join(json.dumps(rows[key]) for key in sorted(rows))
    OURS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    for given in sys.argv[1:] or sys.exit(__doc__):
        _keep(Path(given))
