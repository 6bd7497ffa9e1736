"""The comparison page: self-contained, safe with any text, and quiet about what is absent."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flower_relay.comparison.page import write_comparison_page
from flower_relay.errors import ConfigurationError
from tests.comparison_samples import write_cell, write_sample

SOME = ("relay", "relay-untested", "fedavg")
VOID = {"meta", "input", "br", "wbr", "link", "img", "hr"}
SECTIONS = (
    "curves", "costs", "attacks", "rewards", "gate", "fairness", "lineage", "timeline", "origin",
)  # fmt: skip


class Page(HTMLParser):
    """Elements, attributes and texts of a page; complains of tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def ids(self) -> list[str]:
        return [value for _, given in self.elements if (value := given.get("id"))]

    def count(self, css: str) -> int:
        return sum(css in (given.get("class") or "").split() for _, given in self.elements)

    @property
    def words(self) -> str:
        shown = " ".join(text for tag, text in self.texts if tag not in ("style", "script"))
        return re.sub(r"\s+", " ", shown)


def page_of(folder: Path) -> Page:
    return Page(write_comparison_page(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(write_sample(tmp_path_factory.mktemp("whole") / "results", strategies=SOME))


def change_cells(folder: Path, change: Any) -> None:
    for path in (folder / "cells").glob("*.json"):
        content = json.loads(path.read_text())
        change(content)
        write_cell(folder, content)


def test_everything_that_was_measured_has_its_section_once(whole: Page) -> None:
    assert [each for each in whole.ids if each in SECTIONS] == list(SECTIONS)
    assert len(whole.ids) == len(set(whole.ids))
    links = {given["href"] for tag, given in whole.elements if tag == "a"}
    assert links == {f"#{each}" for each in SECTIONS}


def test_the_page_refers_to_nothing_outside_itself(whole: Page, tmp_path: Path) -> None:
    for tag, given in whole.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "style"):
            assert (given.get(name) or "#").startswith("#"), (tag, given)
    text = write_comparison_page(write_sample(tmp_path / "r", seeds=1, strategies=SOME)).read_text()
    assert not re.search(r"https?://|//cdn|@import|@font-face|url\(|\bfetch\(|XMLHttp", text)


def test_its_policy_forbids_the_network_and_names_its_own_script_by_hash(whole: Page) -> None:
    [policy] = [
        given["content"]
        for _, given in whole.elements
        if given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["script-src"])
    assert "unsafe" not in policy and "connect-src" not in policy


def test_the_answer_is_worked_out_from_the_records(tmp_path: Path) -> None:
    """Relay is at 0.96 from 40 client-epochs on, the rival from 100, in an eighth of the time."""
    folder = write_sample(
        tmp_path / "r", seeds=2, attacks=(), strategies=("relay", "fedavg"), truth=False
    )

    def two_steps(content: dict[str, Any]) -> None:
        relay = content["cell"]["strategy"] == "relay"
        content["final"]["accuracy"] = 0.97 if relay else 0.96
        for record in content["records"]:
            at = record["epochs"]
            record["accuracy"] = 0.96 if at >= (40 if relay else 100) else 0.5
            record["seconds"] = {"homogeneous": at if relay else at / 20}

    change_cells(folder, two_steps)
    words = page_of(folder).words
    assert (
        "Relay needs 0.40 times the client-epochs of the best averaging strategy, ends 1.0 points "
        "above it and loses on the clock on every fleet (up to 8.0 times as long, on homogeneous)."
    ) in words
    assert "Where relay loses: 2 of 8 comparisons" in words
    assert "Relay, evaluations 28 a client-epoch" in words
    assert "FedAvg, evaluations 0 a client-epoch" in words
    assert "Few seeds: some of this is of 2 only" in words


def test_a_rival_that_never_gets_there_is_not_the_best_however_short_its_run(
    tmp_path: Path,
) -> None:
    folder = write_sample(
        tmp_path / "r", seeds=2, attacks=(), strategies=("relay", "fedavg", "fedavgm"), truth=False
    )

    def quick_but_lost(content: dict[str, Any]) -> None:
        lost = content["cell"]["strategy"] == "fedavg"
        for record in content["records"]:
            record["accuracy"] = 0.5 if lost or record["epochs"] < 100 else 0.96
            record["seconds"] = {"homogeneous": record["epochs"] / (1000 if lost else 1)}

    change_cells(folder, quick_but_lost)
    words = page_of(folder).words
    assert "Relay needs 1.00 times the client-epochs" in words
    assert "is no slower on the clock on any fleet" in words


def test_who_never_gets_there_is_marked_with_the_whole_budget_as_a_bound(tmp_path: Path) -> None:
    folder = write_sample(
        tmp_path / "r", seeds=2, attacks=(), strategies=("relay", "fedavg"), truth=False
    )

    def relay_never(content: dict[str, Any]) -> None:
        for record in content["records"]:
            relay = content["cell"]["strategy"] == "relay"
            record["accuracy"] = 0.5 if relay or not record["epochs"] else 0.97

    change_cells(folder, relay_never)
    page = page_of(folder)
    assert "> 400" in page.words and "never in 2 of 2" in page.words
    assert "400 (never)" in page.words  # the card, and relay is said to lose
    assert page.count("loses") > 0


def test_a_drop_under_attack_is_in_its_cell_and_a_gain_has_the_other_colour(tmp_path: Path) -> None:
    folder = write_sample(
        tmp_path / "r", seeds=2, attacks=(("noise", 0.2),), strategies=("relay", "fedavg"),
        truth=False,
    )  # fmt: skip

    def finals(content: dict[str, Any]) -> None:
        relay, attacked = content["cell"]["strategy"] == "relay", content["cell"]["attack"]
        content["final"]["accuracy"] = (0.97 if relay else 0.5) if attacked else 0.96

    change_cells(folder, finals)
    page = page_of(folder)
    assert "−1.0" in page.words and "46.0" in page.words
    cells = {given.get("class") for tag, given in page.elements if tag == "td"}
    assert {"gain-2", "loss-8"} <= cells


NASTY = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'{{7*7}}&amp;'


def test_hostile_texts_stay_texts_wherever_they_come_from(tmp_path: Path) -> None:
    folder = write_sample(
        tmp_path / "r", seeds=2, data=NASTY, attacks=((NASTY, 0.2),), strategies=SOME
    )

    def poison(content: dict[str, Any]) -> None:
        content["cell"]["settings"] = {NASTY: NASTY}
        for person in content["participants"]:
            person["name"] = f"{NASTY}{person['name']}"
        for hop in content["hops"]:
            hop.update(trainer=f"{NASTY}{hop['trainer']}", base=NASTY, model=NASTY)

    change_cells(folder, poison)
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"command": NASTY, "versions": {NASTY: NASTY}, NASTY: [NASTY]}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "tuning.json").write_text(json.dumps({f"{NASTY}|a|b": {NASTY: NASTY}}))
    (folder / "truth" / "twins.json").write_text(
        json.dumps(
            {"rule": NASTY, "pairs": [{"seed": s, "first": 1, "last": 1.1} for s in range(3)]}
        )
    )
    page = page_of(folder)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    assert "img" not in {tag for tag, _ in page.elements}
    assert page.words.count(NASTY) >= 6


def test_an_averaging_strategy_alone_has_curves_and_costs_and_no_word_of_relay(
    tmp_path: Path,
) -> None:
    folder = write_sample(tmp_path / "r", seeds=1, attacks=(), strategies=("fedavg",), truth=False)
    (folder / "tuning.json").unlink()

    def bare(content: dict[str, Any]) -> None:
        content["timeline"] = {}
        content["final"] = {"accuracy": content["final"]["accuracy"]}

    change_cells(folder, bare)
    page = page_of(folder)
    assert [each for each in page.ids if each in SECTIONS] == ["curves", "costs", "origin"]
    assert page.count("card") == 0 and page.count("answer") == 0
    assert "nan" not in page.words.lower()


def test_without_truth_experiments_only_rewards_to_hostile_participants_remain(
    tmp_path: Path,
) -> None:
    page = page_of(write_sample(tmp_path / "r", seeds=1, truth=False, strategies=SOME))
    assert "rewards" in page.ids
    assert "Twins" not in page.words and "Shapley" not in page.words


def test_runs_without_seconds_are_shown_over_epochs_and_bytes(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "r", seeds=1, attacks=(), truth=False, strategies=SOME)

    def no_clock(content: dict[str, Any]) -> None:
        content["timeline"] = {}
        for record in content["records"]:
            record["seconds"] = None

    change_cells(folder, no_clock)
    page = page_of(folder)
    assert [each for each in page.ids if each.startswith("axis-")] == ["axis-0", "axis-1"]
    assert "timeline" not in page.ids and "clock on" not in page.words


def test_a_strategy_with_settings_of_its_own_is_a_contestant_of_its_own(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "r", seeds=1, attacks=(), strategies=("relay", "fedavg"))
    for path in list((folder / "cells").glob("*.json")):
        content = json.loads(path.read_text())
        content["cell"]["strategy"] = content["cell"]["strategy"].replace("relay", "relay:lanes=5")
        content["key"] += "-lanes"
        write_cell(folder, content)
    assert "Relay · lanes=5" in page_of(folder).words


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "r", seeds=2, attacks=(("noise", 0.2),), strategies=SOME)
    first = write_comparison_page(folder).read_bytes()
    assert write_comparison_page(folder).read_bytes() == first


def test_a_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no comparison"):
        write_comparison_page(tmp_path)


def test_a_damaged_truth_file_is_named(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "r", seeds=1, attacks=())
    (folder / "truth" / "shapley.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"shapley\.json cannot be read"):
        write_comparison_page(folder)
