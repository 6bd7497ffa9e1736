"""Stored results: what each cell of a published comparison came to, small enough to keep.

One file a comparison, `experiments/results/NAME.json`. It holds the plan, the commands, what
was tuned, the targets and one row a cell, with the commit that played it. The pages are
written from these files alone, and one strategy's rows can be replaced while the others stay.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flower_relay.comparison.contests import contests as contests_of
from flower_relay.comparison.contests import target_of
from flower_relay.comparison.detection import is_relay, reward_share
from flower_relay.comparison.figures import spent_to, total
from flower_relay.comparison.files import read_results
from flower_relay.comparison.plan import TUNING_NOTES
from flower_relay.files.durable import write_whole

__all__ = ["FOLDER", "Stored", "distilled", "merged", "read", "read_all", "write"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "results"

COSTS = {
    "epochs": "epochs",
    "evaluations": "evaluations",
    "megabytes": "bytes",
    "like": "seconds homogeneous",
    "phones": "seconds phones",
    "hospitals": "seconds hospitals",
}
"""What a cost is called here, and the axis of the comparison that it is measured on."""

PLACE = ("data", "partition", "attack", "share")
COLUMNS = (
    "strategy", *PLACE, "seed", "played", "final", "nothing", "worst_own", "groups",
    "hostile_pay", "all_epochs", "all_evaluations", "all_megabytes", "reached",
    *(f"to_{cost}" for cost in COSTS), "core_seconds",
)  # fmt: skip
"""A row: where it was played, by which commit, how it ended, and what it cost.

`worst_own` is the worst honest participant's accuracy on its own kept cases, `groups` the mean
over natural groups, `hostile_pay` the hostile participants' rewards by head-count share.
`to_...` is the cost to the target; the whole run where `reached` is false.
"""

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One published comparison's results.

    Attributes
    ----------
    played : sequence of mapping
        Commit, version and settings of each time that cells were played; rows name one.
    targets : mapping of "data|partition" to accuracy
        None where nobody learned anything.
    tuning : mapping of "strategy|data|partition" to what was chosen and what it cost
    """

    name: str
    commands: Sequence[str]
    plan: Mapping[str, Any]
    played: Sequence[Mapping[str, Any]]
    targets: Mapping[str, float | None]
    tuning: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Row]


def distilled(
    name: str, folder: Path, asked: Mapping[str, Any], played: Mapping[str, Any],
    targets: Mapping[str, float | None] | None = None,
) -> Stored:  # fmt: skip
    """What a comparison's folder comes to.

    Parameters
    ----------
    asked : mapping
        The comparison's file: cells of the folder that it does not ask for are left out.
    played : mapping
        Commit and version that played the folder's cells.
    targets : mapping, optional
        Those that stored results have: by default they follow from the folder's rivals.
    """
    results = read_results(folder)
    cells = [found for found in results.cells if _asked_for(found["cell"], asked)]
    found = contests_of(cells)
    if targets is None:
        targets = {
            f"{c.data}|{c.partition}": _finite(target_of(c, float(results.plan["target"])))
            for c in found
            if not c.attack
        }
    tuning = {
        key: _tuned(entry)
        for key, entry in results.tuning.items()
        if key.split("|")[0] in asked["strategy"] and key.split("|")[1] in asked["data"]
    }
    keys = ("nodes", "budget", "settings", "tuning_seeds", "engine", "fleet")
    return Stored(
        name=name,
        commands=[f"flower-relay compare run --config experiments/comparisons/{name}.toml"],
        plan={key: results.plan.get(key) for key in keys},
        played=[dict(played)],
        targets=targets,
        tuning=tuning,
        rows=[_row(cell, targets) for cell in cells],
    )


def _asked_for(cell: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    seeds = range(asked.get("first-seed", 0), asked.get("first-seed", 0) + asked["seeds"])
    return (
        cell["strategy"] in asked["strategy"]
        and cell["data"] in asked["data"]
        and cell["partition"] in asked["partition"]
        and (cell["attack"] or "none") in asked["attack"]
        and (not cell["attack"] or cell["share"] in asked.get("share", [0.2]))
        and cell["seed"] in seeds
    )


def _tuned(entry: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: value for key, value in entry.items() if key not in TUNING_NOTES}
    return {"chosen": chosen, **entry.get("cost", {})}


def _row(found: Mapping[str, Any], targets: Mapping[str, float | None]) -> dict[str, Any]:
    cell, final, records = found["cell"], found["final"], found["records"]
    target = None if cell["attack"] else targets.get(f"{cell['data']}|{cell['partition']}")
    spent = {
        cost: spent_to(records, axis, target) if target is not None else (math.nan, None)
        for cost, axis in COSTS.items()
    }
    in_all = {cost: total(records, COSTS[cost]) for cost in ("epochs", "evaluations", "megabytes")}
    values = {
        **{key: cell[key] for key in ("strategy", *PLACE, "seed")},
        "played": 0,
        "final": final["accuracy"],
        "nothing": final["nothing_learned"],
        "worst_own": final["own_worst"],
        "groups": final.get("group_accuracy"),
        "hostile_pay": reward_share(found) if is_relay(found) and cell["attack"] else None,
        **{f"all_{cost}": _scaled(cost, value) for cost, value in in_all.items()},
        "reached": spent["epochs"][1],
        **{f"to_{cost}": _scaled(cost, value) for cost, (value, _) in spent.items()},
        "core_seconds": found["wall_seconds"],
    }
    return {key: _short(values[key]) for key in COLUMNS}


def _scaled(cost: str, value: float) -> float:
    return value / 1e6 if cost == "megabytes" else value


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _short(value: Any) -> Any:
    """Six significant digits: more than any page shows."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() and abs(short) > 1 else short


def merged(before: Stored, again: Stored) -> Stored:
    """Results with the rows that were played again in the place of the former ones."""
    fresh = {_place(row) for row in again.rows}
    kept = [row for row in before.rows if _place(row) not in fresh]
    used = sorted({row["played"] for row in kept})
    played = [*(before.played[index] for index in used), *again.played]
    rows = [{**row, "played": used.index(row["played"])} for row in kept]
    rows += [{**row, "played": len(used)} for row in again.rows]
    order = {_place(row): number for number, row in enumerate(before.rows)}
    rows.sort(key=lambda row: order.get(_place(row), len(order)))
    return replace(
        again,
        played=played,
        rows=rows,
        tuning={**before.tuning, **again.tuning},
        targets={**before.targets, **again.targets},
    )


def _place(row: Row) -> tuple[Any, ...]:
    """What tells a row from the others."""
    return tuple(row[key] for key in ("strategy", *PLACE, "seed"))


def write(stored: Stored, folder: Path = FOLDER) -> Path:
    """Keep results: a line a row, so that a change is seen where it is."""
    head = {
        "name": stored.name, "commands": list(stored.commands), "plan": stored.plan,
        "played": list(stored.played), "targets": stored.targets, "tuning": stored.tuning,
        "columns": list(COLUMNS),
    }  # fmt: skip
    lines = [f"{json.dumps(key)}: {_lines(value)}" for key, value in head.items()]
    rows = ",\n".join(_compact([row[key] for key in COLUMNS]) for row in stored.rows)
    text = "{\n" + ",\n".join(lines) + ',\n"rows": [\n' + rows + "\n]\n}\n"
    path = folder / f"{stored.name}.json"
    write_whole(path, text.encode())
    return path


def _lines(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return _compact(value)
    inner = ",\n ".join(f"{json.dumps(key)}: {_compact(each)}" for key, each in value.items())
    return "{\n " + inner + "\n}"


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def read(name: str, folder: Path = FOLDER) -> Stored:
    """One comparison's stored results."""
    found = json.loads((folder / f"{name}.json").read_text("utf-8"))
    columns = found.pop("columns")
    rows = [dict(zip(columns, row, strict=True)) for row in found.pop("rows")]
    return Stored(rows=rows, **found)


def read_all(names: Iterable[str], folder: Path = FOLDER) -> list[Stored]:
    """Those of some comparisons that there are."""
    return [read(name, folder) for name in names if (folder / f"{name}.json").is_file()]
