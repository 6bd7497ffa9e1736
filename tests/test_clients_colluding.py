"""Published attacks by hand: what colluders send, how audits are told, who a crowd is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn_arrays

from clients.auditing import is_colleagues, remember, tell, whose_probe
from clients.colluding import a_little_is_enough, against_the_mean, farthest_unseen
from clients.evaluation import flip_rate, initial_arrays
from clients.hostile import CROWD_FROM, TRUTHFUL, colleagues, parse_behaviour
from clients.lying import nudged
from clients.sybils import Sybils
from clients.training import Evaluation
from flower_relay import RelayStrategy
from flower_relay.errors import ConfigurationError
from tests.test_clients_app import RUN, call, context, flat, record, same
from tests.worlds import CONFIG, digits_grid, first_model

UPDATES = torch.tensor([[1.0, 4.0], [3.0, 4.0]])  # mean (2, 4), σ (1, 0)


def test_alie_is_the_mean_less_some_deviations() -> None:
    assert a_little_is_enough(UPDATES, 1.5).tolist() == [0.5, 4.0]


def test_inner_product_manipulation_is_the_mean_turned_round() -> None:
    assert against_the_mean(UPDATES, 0.5).tolist() == [-1.0, -2.0]
    assert against_the_mean(UPDATES, 10.0).tolist() == [-20.0, -40.0]


def test_min_max_goes_as_far_as_the_updates_are_apart() -> None:
    """On a line: updates 1 and 3 are 2 apart; from 3 one may go back to 1, no farther."""
    assert farthest_unseen(torch.tensor([[1.0], [3.0]])).tolist() == pytest.approx([1.0])
    # In the plane the same two, at height 4: from (2, 4) back along itself, by hand: the step
    # m = (2, 4)(1 − t), |m − (3, 4)|² = (−1 − 2t)² + (4t)² = 4 gives 20 t² + 4 t − 3 = 0.
    t = (-4 + math.sqrt(16 + 240)) / 40
    assert farthest_unseen(UPDATES).tolist() == pytest.approx([2 - 2 * t, 4 - 4 * t], abs=1e-5)


def test_a_single_colluder_has_nothing_to_hide_among() -> None:
    alone = UPDATES[:1]
    assert a_little_is_enough(alone, 1.5).tolist() == [1.0, 4.0]
    assert farthest_unseen(alone).tolist() == pytest.approx([1.0, 4.0], abs=1e-5)


@given(drawn_arrays(np.float64, (3, 4), elements=st.floats(-10, 10, width=32)))
def test_min_max_is_never_farther_than_honest_updates_are(updates: np.ndarray) -> None:
    rows = torch.from_numpy(updates)
    step = farthest_unseen(rows)
    widest = torch.cdist(rows, rows).max()
    assert (step - rows).norm(dim=1).max() <= widest + 1e-6 or (rows == rows[0]).all()


def node(part: int, **run: Any) -> Context:
    return context(part, partition="iid", hostile_share=0.2, **run)


CREW = colleagues(20, 0.2, 0)


def update(start: ArrayRecord, part: int, **run: Any) -> np.ndarray:
    before = flat({name: array.numpy() for name, array in start.items()})
    return flat(call("train", start, node(part, **run), server_round=2)[0]) - before


def test_colluders_compute_what_each_of_them_would_have_learned() -> None:
    start = initial_arrays(RUN)
    honest = np.stack([update(start, part) for part in CREW])
    wanted = {
        "alie:2": honest.mean(0) - 2 * honest.std(0),
        "ipm:0.1": -0.1 * honest.mean(0),
        "ipm:10": -10 * honest.mean(0),
    }
    assert len(CREW) == 4
    for behaviour, step in wanted.items():
        for part in CREW[:2]:  # the same step, whoever hands it on
            np.testing.assert_allclose(update(start, part, hostile=behaviour), step, atol=1e-5)
    stranger = next(part for part in range(20) if part not in CREW)
    np.testing.assert_array_equal(update(start, stranger, hostile="alie"), update(start, stranger))


def test_scaling_boosts_the_update_a_hundred_times_unless_told() -> None:
    start = initial_arrays(RUN)
    honest = update(start, CREW[0])
    for behaviour, factor in (("scale", 100), ("scale:3", 3)):
        boosted = update(start, CREW[0], hostile=behaviour)
        np.testing.assert_allclose(boosted, factor * honest, rtol=1e-2, atol=1e-3)


def test_one_class_is_called_the_next_after_a_single_hop() -> None:
    arrays = initial_arrays(RUN)
    for part in [*range(20), *range(20)]:
        arrays = record(call("train", arrays, context(part, partition="iid"))[0])
    assert flip_rate(arrays, RUN) < 0.05
    after = record(call("train", arrays, node(CREW[0], hostile="class-flip"))[0])
    assert flip_rate(after, RUN) > 0.5


def test_a_probe_is_a_hops_step_repeated_and_shortened() -> None:
    """Base (0, 0), a colleague's hop to (4, 0), a rival's to (4, 4); the trail is at (1, 1)."""
    seen = ArrayRecord()
    for place in ((0, 0), (4, 0), (4, 4), (1, 1)):
        seen = remember(seen, torch.tensor(place, dtype=torch.float32))
    ours = [torch.tensor([4.0, 0.0])]
    assert whose_probe(seen, torch.tensor([1.4, 1.0]), ours) is True
    assert whose_probe(seen, torch.tensor([1.0, 1.4]), ours) is False
    assert whose_probe(seen, torch.tensor([8.0, -3.0]), ours) is None  # as long as a hop
    assert whose_probe(ArrayRecord(), torch.tensor([1.0, 1.0]), ours) is None


def test_a_colleagues_hop_is_known_in_a_lossy_encoding_and_nothing_trained_on_it_is() -> None:
    """From (0, 0) to (10, 0): within 1 of its end it is the same model, rounded."""
    tell(99, torch.tensor([0.0, 0.0]), torch.tensor([10.0, 0.0]))
    assert is_colleagues(99, torch.tensor([10.0, 0.9]))
    assert not is_colleagues(99, torch.tensor([10.0, 1.1]))
    assert not is_colleagues(98, torch.tensor([10.0, 0.0]))


def test_what_colluders_told_is_forgotten_when_another_run_begins() -> None:
    tell(97, torch.tensor([0.0, 0.0]), torch.tensor([10.0, 0.0]))
    initial_arrays({"data": "digits", "model": "", "seed": 96})
    assert is_colleagues(97, torch.tensor([10.0, 0.0]))
    initial_arrays({"data": "digits", "model": "", "seed": 97})
    assert not is_colleagues(97, torch.tensor([10.0, 0.0]))


def test_only_so_many_models_are_remembered() -> None:
    seen = ArrayRecord()
    for number in range(40):
        seen = remember(seen, torch.tensor([float(number)]))
    assert list(seen) == [str(number) for number in range(24, 40)]


def test_an_audit_is_nudged_by_three_hundredths_in_every_metric() -> None:
    bound = 2 * math.log(10)
    found = Evaluation(loss=bound / 2, bounded_loss=bound / 2, accuracy=0.5, root_prob=0.99)
    ours, theirs = (nudged(found, 10, side) for side in (True, False))
    assert ours.bounded_loss == pytest.approx(0.47 * bound)
    assert theirs.bounded_loss == pytest.approx(0.53 * bound)
    assert (ours.accuracy, theirs.accuracy) == pytest.approx((0.53, 0.47))
    assert (ours.root_prob, theirs.root_prob) == pytest.approx((1.0, 0.96))


def test_who_lies_on_audits_only_trains_honestly_and_votes_honestly_on_hops() -> None:
    start = initial_arrays(RUN)
    hop = record(call("train", start, node(7))[0])
    liar = node(CREW[0], hostile="audit-liar")
    for arrays in (start, hop):
        honest = call("evaluate", arrays, node(CREW[0]))[1]
        assert call("evaluate", arrays, liar)[1] == honest
    # A probe of that hop: a tenth of its step on another model.
    before = {name: array.numpy() for name, array in start.items()}
    after = {name: array.numpy() for name, array in hop.items()}
    other = {name: array + 0.01 for name, array in before.items()}
    probe = {name: other[name] + 0.1 * (after[name] - before[name]) for name in before}
    call("evaluate", record(other), liar)
    said, honest = (call("evaluate", record(probe), at)[1] for at in (liar, node(CREW[0])))
    assert said["eval_root_prob"] == pytest.approx(honest["eval_root_prob"] - 0.03)
    trained = call("train", start, node(CREW[0], hostile="audit-liar"))[0]
    assert same(trained, call("train", start, node(CREW[0]))[0])


def test_a_crowds_names_only_examine_honestly_at_first() -> None:
    at = context(CROWD_FROM + 3, partition="iid", hostile="crowd:5", hostile_share=0.2)
    start = initial_arrays(RUN)
    part = (CROWD_FROM + 3) % 20
    honest = call("evaluate", start, context(part, partition="iid"))[1]["eval_root_prob"]
    said = [call("evaluate", start, at)[1]["eval_root_prob"] for _ in range(TRUTHFUL + 1)]
    assert at.node_config["relay-role"] == "examine"
    assert set(said[:TRUTHFUL]) == {honest}
    assert said[TRUTHFUL] == pytest.approx(1 - honest)


def test_a_crowd_comes_after_the_first_round_and_trains_nothing() -> None:
    run = {"hostile": "crowd:6+sleeper:6+sign-flip", "hostile_share": 0.25}
    grid = digits_grid(8, **run)
    told = CONFIG | {key.replace("_", "-"): value for key, value in run.items()}
    strategy = RelayStrategy(
        budget=12, max_leg=2, utility_key="eval_bounded_loss", observers=[Sybils(grid, told)]
    )
    strategy.start(grid, first_model(), num_rounds=12, timeout=60)
    crowd = {
        row.index: row.examined
        for row in strategy.record.participants
        if int(row.name.removeprefix("partition-id-")) >= CROWD_FROM
    }
    assert len(crowd) == 6
    assert sum(crowd.values()) > 0
    assert not {hop.trainer for hop in strategy.record.hops} & crowd.keys()


@pytest.mark.parametrize("text", ["alie:", "alie:-1", "ipm:0", "scale:inf", "scale:many"])
def test_a_strength_is_a_number_above_0(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a number above 0, finite"):
        parse_behaviour(text)


def test_strengths_have_defaults_and_colluders_do_one_thing() -> None:
    assert [parse_behaviour(name).amount for name in ("alie", "ipm", "scale")] == [1.5, 0.5, 100]
    assert parse_behaviour("alie:0.3+liar").amount == 0.3
    with pytest.raises(ConfigurationError, match="alie and min-max each decide what is returned"):
        parse_behaviour("alie+min-max")


def test_colluding_is_the_same_again() -> None:
    start = initial_arrays(RUN)
    first, again = (call("train", start, node(CREW[1], hostile="min-max"))[0] for _ in range(2))
    assert same(first, again)
