"""Does any policy pay more than honesty? Each alone, beside honest participants, over many seeds.

    python -m experiments.truth.policies --workers 2
    python -m experiments.truth.policies --only audit-liar --seeds 10 --played runs/audit-liar.jsonl

Two measures, both as parts of an honest income. *Beside*: what those who play a policy are
paid, beside the honest of the same runs. *Instead*: what they are paid, beside what the same
people are paid in the same economies when they are honest, too; that asks whether to turn.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_relay.economy import POLICIES, EconomySettings, simulate
from flower_relay.economy.study import Estimate
from flower_relay.files.durable import write_whole

SETTING = EconomySettings(
    topology="chain", rewards="contribution", participants=40, rounds=120, ceiling=4.0,
    gain_mean=0.05, gain_sd=0.1, examiner_noise=0.01,
)  # fmt: skip
"""Models reach what there is to learn within the first half of the run."""

NOISES, SHARES = (0.01, 0.03), (0.1, 0.3)
PLAYED = (
    "free-rider", "copycat", "sleeper", "examiner-liar", "audit-liar", "idle-audit-liar",
    "quiet-liar", "colluder",
)  # fmt: skip
"""Those of the policies that could pay: droppers and Sybils are far from it."""

RESULT = Path(__file__).parents[1] / "results" / "policies.json"


def incomes(seed: int, noise: float, shares: Sequence[float], played: Sequence[str]) -> Any:
    """What one seed pays: by policy and share, theirs, the others', and theirs if honest."""
    setting = replace(SETTING, seed=seed, examiner_noise=noise)
    if_honest = simulate(setting).participants["income"]
    found = {}
    for name in played:
        for share in shares:
            result = simulate(replace(setting, policies=f"{name}={share}"))
            theirs, income = _who(result, name), result.participants["income"]
            others = ~theirs
            others[0] = False
            found[f"{name}|{share}"] = [
                float(income[theirs].mean()),
                float(income[others].mean()),
                float(if_honest[theirs].mean()),
            ]
    return found


def _who(result: Any, name: str) -> NDArray[np.bool_]:
    theirs: NDArray[np.bool_] = result.participants["policy"] == list(POLICIES).index(name)
    return theirs


def row_of(name: str, share: float, noise: float, seeds: NDArray[np.float64]) -> dict[str, Any]:
    """Means with 95 % intervals over the seeds, as parts of an honest income.

    Parameters
    ----------
    seeds : array of shape (seeds, 3)
        What `incomes` has of a policy at a share.
    """
    theirs, others, if_honest = seeds.T
    beside = Estimate.of((theirs - others) / others.mean() + 1)
    instead = Estimate.of((theirs - if_honest) / if_honest.mean() + 1)
    return {
        "policy": name,
        "share": share,
        "noise": noise,
        "beside": [round(beside.mean, 3), round(beside.half_width, 3)],
        "instead": [round(instead.mean, 3), round(instead.half_width, 3)],
    }


def main() -> None:
    """Play what was not played yet, print what all of it comes to, and keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", action="append", choices=PLAYED, metavar="POLICY")
    parser.add_argument("--share", action="append", type=float)
    parser.add_argument("--noise", action="append", type=float)
    parser.add_argument(
        "--played", type=Path, default=Path("runs/policies.jsonl"),
        help="seeds that were played, a line each; one of the present rules and settings",
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, help=f"write the tables here, as {RESULT.name} is")
    given = parser.parse_args()
    shares, played = given.share or SHARES, given.only or PLAYED
    seeds, rows = range(given.first_seed, given.first_seed + given.seeds), []
    for noise in given.noise or NOISES:
        one = functools.partial(incomes, noise=noise, shares=shares, played=played)
        found = _played(given.played, one, noise, seeds, given.workers)
        for name, share in itertools.product(played, shares):
            row = row_of(name, share, noise, np.array([each[f"{name}|{share}"] for each in found]))
            rows.append(row)
            beside, instead = ("{:.2f} ± {:.2f}".format(*row[k]) for k in ("beside", "instead"))
            print(f"noise {noise} {share:.0%} {name:<16} {beside}   {instead}", flush=True)
    if given.keep:
        command = f"python -m experiments.truth.policies --seeds {len(seeds)}"
        write_whole(given.keep, document(rows, command).encode())


def _played(
    file: Path, one: Callable[[int], Any], noise: float, seeds: range, workers: int
) -> list[Any]:
    """What each seed pays, from the file or played now and added to it."""
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    known = {each["seed"]: each for each in map(json.loads, lines) if each["noise"] == noise}
    missing = [seed for seed in seeds if seed not in known]
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool, file.open("a", encoding="utf-8") as kept:
        for seed, found in zip(missing, pool.map(one, missing), strict=True):
            known[seed] = {"seed": seed, "noise": noise, **found}
            print(json.dumps(known[seed]), file=kept, flush=True)
            print(f"\r{len(known)} of {len(seeds)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [known[seed] for seed in seeds]


def document(rows: Sequence[dict[str, Any]], command: str) -> str:
    """What is kept: every row, and the tables of the page on the economy."""
    shares = sorted({row["share"] for row in rows})
    columns = [
        "a policy alone",
        *(f"beside the honest, {share:.0%} play it" for share in shares),
        *(f"instead of honesty, {share:.0%}" for share in shares),
    ]
    tables = {
        f"noise-{noise}": {
            "commands": [command],
            "columns": columns,
            "rows": [
                [name.replace("-", " "), *_cells(rows, name, noise)]
                for name in dict.fromkeys(row["policy"] for row in rows)
            ],
        }
        for noise in sorted({row["noise"] for row in rows})
    }
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    spelled = json.dumps(tables, indent=1, ensure_ascii=False)
    return f'{{"tables": {spelled},\n "rows": [\n  {lines}\n ]}}\n'


def _cells(rows: Sequence[dict[str, Any]], name: str, noise: float) -> list[str]:
    """A policy's figures at each share; bold where its interval reaches above an honest income."""
    of_it = [row for row in rows if (row["policy"], row["noise"]) == (name, noise)]
    of_it.sort(key=lambda row: float(row["share"]))
    cells = []
    for measure in ("beside", "instead"):
        for mean, half in (row[measure] for row in of_it):
            text = f"{mean:.2f} ± {half:.2f}"
            cells.append(f"**{text}**" if mean + half > 1 else text)
    return cells


if __name__ == "__main__":
    main()
