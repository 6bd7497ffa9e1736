"""Pages of results say what the stored results say, and no figure of them is typed by hand."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flower_relay.comparison.files import read_results
from flower_relay.comparison.statistics import Standing, median
from scripts.evidence import blocks, stored, traced
from scripts.evidence.__main__ import stale
from scripts.evidence.attacks import Attacked, attacked_in
from scripts.evidence.figures import Group, against, seeds_said, share_shown, shown, standing
from scripts.evidence.stored import COLUMNS, Stored, merged
from scripts.evidence.worlds import World
from tests.comparison_samples import write_sample

ROOT = Path(__file__).parents[1]
RESULTS = sorted(
    path.stem for path in stored.FOLDER.glob("*.json") if '"plan"' in path.read_text("utf-8")
)


def test_every_page_is_what_the_stored_results_say() -> None:
    """Otherwise run `python -m scripts.evidence`."""
    assert list(stale()) == []


@pytest.mark.parametrize("name", ["clean", "attacks"])
def test_a_page_of_results_begins_with_where_the_relay_loses(name: str) -> None:
    page = (ROOT / "docs" / "evidence" / f"{name}.md").read_text("utf-8")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE)[0] == "Where the relay loses"


@pytest.mark.parametrize("name", blocks.pages())
def test_every_number_of_a_page_is_stored_or_noted_with_where_it_comes_from(name: str) -> None:
    """`scripts/evidence/traced.py` says which numbers count, and where to note them."""
    assert traced.faults(name) == []


SAID = {
    "Accuracy is 0.91 by then.": ["0.91"],
    "It takes 3.5 s, or 12 ms, and 1,042 hops.": ["3.5", "12 ms", "1,042"],
    "A fifth, 20 % of 20 participants, gain .05 and 10⁻³.": ["20 %", ".05", "10⁻³"],
    "Flower 1.41 with 8 bits, version 0.1.0, at Dirichlet 0.3": [],
    "`lanes=0.5` is code, and so is\n```\n0.7\n```\n": [],
    "<!-- results: x -->\n| 0.4 |\n<!-- end of results -->\n": [],
    "<!-- results: x -->\n| 0.4 |\n<!-- end of results -->\n\n| 0.6 |\n": ["0.6"],
}


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_decimals_per_cents_and_units_look_measured(text: str, expected: list[str]) -> None:
    lines = traced.unknown("page", text, {})
    assert [line.split("'")[1] for line in lines] == expected


def test_a_note_that_no_page_bears_out_is_named() -> None:
    noted = {
        "tables": {"ends": {"columns": ["relay"], "rows": [["**.911**", "1,042"]]}},
        "in_text": {"from 0.911 to 0.3": "table ends", "gone": "a command"},
    }
    found = traced.unknown("page", "It rose from 0.911 to 0.3.", noted)
    assert found == ["page: table ends does not hold 0.3", "page does not say 'gone' any more"]


@pytest.mark.parametrize("name", RESULTS)
def test_stored_results_are_of_the_comparison_that_they_name(name: str) -> None:
    found = stored.read(name)
    file = tomllib.loads((ROOT / "experiments" / "comparisons" / f"{name}.toml").read_text())
    assert (found.plan["nodes"], found.plan["budget"]) == (file["nodes"], file["budget"])
    assert found.plan["tuning_seeds"] == file["tuning-seeds"]
    assert {row["seed"] for row in found.rows} == set(range(file["seeds"]))
    assert {row["strategy"] for row in found.rows} == set(file["strategy"])
    assert {row["attack"] or "none" for row in found.rows} <= set(file["attack"])
    assert all(len(found.played[row["played"]]["commit"]) == 40 for row in found.rows)


@pytest.mark.parametrize("name", RESULTS)
def test_stored_results_have_every_cell_once(name: str) -> None:
    rows = stored.read(name).rows
    places = {tuple(row[key] for key in ("strategy", *stored.PLACE, "seed")) for row in rows}
    assert len(places) == len(rows)
    worlds = {(row["data"], row["partition"]) for row in rows}
    threats = {(row["attack"], row["share"]) for row in rows}
    seeds, strategies = ({row[key] for row in rows} for key in ("seed", "strategy"))
    assert len(rows) == len(worlds) * len(threats) * len(seeds) * len(strategies)


def row(strategy: str, seed: int, **values: Any) -> dict[str, Any]:
    whole = dict.fromkeys(COLUMNS) | {
        "strategy": strategy, "data": "digits", "partition": "iid", "attack": "", "share": 0.0,
        "seed": seed, "played": 0, "final": 0.9, "nothing": 0.1, "reached": True, "to_epochs": 100,
        "worst_own": 0.5,
    }  # fmt: skip
    return whole | values


def results(*rows: dict[str, Any], commit: str = "a") -> Stored:
    return Stored(
        name="made-up", commands=[], plan={}, played=[{"commit": commit}],
        targets={"digits|iid": 0.8}, tuning={}, rows=rows,
    )  # fmt: skip


def world(relay: list[float], rival: list[float], column: str) -> World:
    names = {"relay": relay, "fedavg": rival}
    groups = {
        name: Group(tuple(row(name, seed, **{column: v}) for seed, v in enumerate(values)))
        for name, values in names.items()
    }
    return World(data="digits", partition="iid", target=0.8, strategies=groups)


def test_playing_one_strategy_again_leaves_the_others_as_they_were() -> None:
    before = results(row("relay", 0), row("fedavg", 0, final=0.8))
    found = merged(before, results(row("relay", 0, final=0.95), commit="b"))
    assert [(r["strategy"], r["final"]) for r in found.rows] == [("relay", 0.95), ("fedavg", 0.8)]
    commits = [found.played[r["played"]]["commit"] for r in found.rows]
    assert commits == ["b", "a"] and found.targets == before.targets


def test_a_commit_of_which_nothing_is_left_is_named_no_more() -> None:
    found = merged(results(row("relay", 0)), results(row("relay", 0), commit="b"))
    assert [played["commit"] for played in found.played] == ["b"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    kept = results(row("relay", 0), row("fedavg", 1, final=None))
    stored.write(kept, tmp_path)
    found = stored.read("made-up", tmp_path)
    assert replace(found, rows=tuple(found.rows), played=list(found.played)) == kept


def test_a_row_has_the_cost_of_the_first_record_at_the_target(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "sample", seeds=2, strategies=("relay", "fedavg"))
    asked = {
        "strategy": ["relay", "fedavg"], "data": ["digits"], "partition": ["dirichlet:0.3"],
        "attack": ["none", "sign-flip"], "share": [0.2], "seeds": 2,
    }  # fmt: skip
    targets = {"digits|dirichlet:0.3": 0.8}
    found = stored.distilled("sample", folder, asked, {"commit": "a"}, targets)
    assert {(r["attack"], r["share"]) for r in found.rows} == {("", 0.0), ("sign-flip", 0.2)}
    assert len(found.rows) == 8
    for cell in read_results(folder).cells:
        key, records = cell["cell"], cell["records"]
        if (key["partition"], key["attack"]) == ("dirichlet:0.3", ""):
            first = next(record for record in records if record["accuracy"] >= 0.8)
            place = (key["strategy"], "", key["seed"])
            [kept] = [r for r in found.rows if (r["strategy"], r["attack"], r["seed"]) == place]
            assert kept["to_epochs"] == first["epochs"]
            assert kept["to_megabytes"] == pytest.approx(38_000 * first["epochs"] / 1e6)


def attacked(clean: list[float], hurt: list[float], rival: list[float]) -> Attacked:
    alie = {"attack": "alie+liar", "share": 0.2}
    rows = [
        *(row("relay", seed, final=value) for seed, value in enumerate(clean)),
        *(row("multikrum", seed, final=value) for seed, value in enumerate(clean)),
        *(row("relay", seed, final=value, **alie) for seed, value in enumerate(hurt)),
        *(row("multikrum", seed, final=value, **alie) for seed, value in enumerate(rival)),
    ]
    [found] = attacked_in([results(*rows)])
    return found


def test_what_is_left_is_a_share_of_the_own_rise_seed_by_seed() -> None:
    found = attacked([0.9, 0.9, 0.5], [0.9, 0.5, 0.05], [0.5] * 3)
    assert list(found.left("relay").values()) == pytest.approx([1.0, 0.5, 0.0])
    assert found.name == "ALIE"


def test_the_best_of_the_others_tells_how_far_the_relay_is_behind() -> None:
    found = attacked([0.9] * 3, [0.7] * 3, [0.8] * 3)
    assert found.best_rival == "multikrum" and found.lost_by == pytest.approx(0.1)


def test_a_cost_above_the_rivals_in_every_seed_is_a_loss_and_below_a_win() -> None:
    dear = world([200] * 5, [100] * 5, "to_epochs").duel("epochs")
    cheap = world([50] * 5, [100] * 5, "to_epochs").duel("epochs")
    assert dear is not None and (dear.verdict, dear.found.median) == ("loses", 2.0)
    assert cheap is not None and (cheap.verdict, cheap.found.median) == ("wins", 0.5)


def test_a_ratio_whose_interval_holds_one_is_a_tie() -> None:
    found = world([50, 60, 100, 150, 160], [100] * 5, "to_epochs").duel("epochs")
    assert found is not None and found.verdict == "tie"


def test_an_end_half_a_point_apart_of_three_seeds_is_a_tie_and_a_point_is_none() -> None:
    close = world([0.904] * 3, [0.9] * 3, "final").ends("final", "final accuracy")
    apart = world([0.89] * 3, [0.9] * 3, "final").ends("final", "final accuracy")
    assert close is not None and close.verdict == "tie"
    assert apart is not None and apart.verdict == "loses"


def test_an_interval_is_given_from_five_seeds_on() -> None:
    assert shown(median([1.0, 2.0, 3.0, 4.0]), ".1f") == "2.5"
    assert shown(median([2.0] * 5), ".1f") == "2.0 (2.0 to 2.0)"
    found = against(dict.fromkeys(range(4), 2.0), dict.fromkeys(range(4), 1.0), as_ratio=True)
    assert math.isnan(found.low) and standing(found, as_ratio=True) is Standing.ABOVE


def test_few_seeds_are_said_and_nothing_is_called_nothing() -> None:
    three = Group(tuple(row("relay", seed) for seed in range(3)))
    assert seeds_said([three]) == "3 seeds, which are few: 5 are the least to rely on"
    assert [share_shown(v) for v in (0.01, 0.5, math.nan)] == ["nothing", "0.50", "–"]
