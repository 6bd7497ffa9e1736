"""Hostile participants do what their names say, and only those that were drawn."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context
from hypothesis import given
from hypothesis import strategies as st

from clients.evaluation import backdoor_rate, initial_arrays
from clients.hostile import BEHAVIOURS, is_hostile, parse_behaviour
from flower_relay.errors import ConfigurationError
from tests.test_clients_app import RUN, call, context, record, same

BOUND = 2 * math.log(10)


@pytest.fixture(scope="module")
def base() -> ArrayRecord:
    """A model worth harming: two honest cycles old."""
    arrays = initial_arrays(RUN)
    for part in [*range(20), *range(20)]:
        arrays = record(call("train", arrays, node(part))[0])
    return arrays


def node(part: int = 3, **run: Any) -> Context:
    return context(part, partition="iid", **run)


def weights(arrays: ArrayRecord) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in arrays.items()}


def returned(base: ArrayRecord, behaviour: str) -> dict[str, np.ndarray]:
    return call("train", base, node(hostile=behaviour, hostile_share=1.0))[0]


def moves(base: ArrayRecord, after: dict[str, np.ndarray]) -> np.ndarray:
    before = weights(base)
    return np.concatenate([(after[name] - before[name]).ravel() for name in before])


METRICS = ("eval_loss", "eval_bounded_loss", "eval_acc", "eval_root_prob")


def said(arrays: ArrayRecord, behaviour: str = "", part: int = 3) -> list[float]:
    """What an examiner reports, in the order of METRICS."""
    at = node(part, hostile=behaviour, hostile_share=1.0)
    metrics = call("evaluate", arrays, at)[1]
    return [float(metrics[name]) for name in METRICS]


def bounded_loss(arrays: ArrayRecord, behaviour: str = "") -> float:
    return said(arrays, behaviour)[1]


def root_prob(arrays: ArrayRecord, part: int = 3) -> float:
    """What votes unless another metric is named."""
    return said(arrays, part=part)[3]


def test_nobody_is_hostile_unless_asked(base: ArrayRecord) -> None:
    honest = call("train", base, node())[0]
    assert same(honest, call("train", base, node(hostile="nan"))[0])
    assert same(honest, call("train", base, node(hostile="", hostile_share=1.0))[0])


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_exactly_the_share_is_hostile(num_parts: int, share: float, seed: int) -> None:
    drawn = [is_hostile(part, num_parts, share, seed) for part in range(num_parts)]
    assert sum(drawn) == round(share * num_parts)


def test_another_seed_draws_others() -> None:
    draws = {tuple(is_hostile(p, 20, 0.2, seed) for p in range(20)) for seed in range(10)}
    assert len(draws) > 5


def test_sign_flip_goes_four_times_the_other_way(base: ArrayRecord) -> None:
    honest = moves(base, call("train", base, node())[0])
    np.testing.assert_allclose(moves(base, returned(base, "sign-flip")), -4 * honest, atol=1e-5)


def test_noise_is_as_large_as_stated(base: ArrayRecord) -> None:
    for behaviour, scale in (("noise", 0.5), ("free-ride-noise", 1e-3)):
        spread = float(moves(base, returned(base, behaviour)).std())
        assert spread == pytest.approx(scale, rel=0.05), behaviour


def test_free_riders_return_what_they_got(base: ArrayRecord) -> None:
    assert same(returned(base, "free-ride"), weights(base))


def test_label_flip_learns_turned_labels(base: ArrayRecord) -> None:
    assert bounded_loss(record(returned(base, "label-flip"))) > bounded_loss(base) + 0.5


def test_garbage_is_garbage(base: ArrayRecord) -> None:
    assert all(np.isnan(array).all() for array in returned(base, "nan").values())
    before = weights(base)
    assert all(a.shape != before[name].shape for name, a in returned(base, "wrong-shape").items())
    assert sum(a.nbytes for a in returned(base, "huge:3").values()) == 3_000_000


@pytest.mark.parametrize("earlier", ["train", "evaluate"])
def test_copycats_return_what_an_earlier_message_brought(base: ArrayRecord, earlier: str) -> None:
    at = node(hostile="copycat", hostile_share=1.0)
    first = initial_arrays(RUN)
    call(earlier, first, at)
    assert same(call("train", base, at)[0], weights(first))


def test_a_copycat_that_has_just_examined_the_base_returns_the_model_before(
    base: ArrayRecord,
) -> None:
    at = node(hostile="copycat", hostile_share=1.0)
    first = initial_arrays(RUN)
    for arrays in (first, base, base):
        call("evaluate", arrays, at)
    assert same(call("train", base, at)[0], weights(first))


def test_the_stale_train_on_their_first_base_for_ever(base: ArrayRecord) -> None:
    at, first = node(hostile="stale", hostile_share=1.0), initial_arrays(RUN)
    honest = call("train", first, node())[0]
    assert same(call("train", first, at)[0], honest)
    assert same(call("train", base, at)[0], honest)


def test_a_copycat_that_has_seen_nothing_rides_free(base: ArrayRecord) -> None:
    assert same(returned(base, "copycat"), weights(base))


@pytest.mark.parametrize("tolerance", [0.02, 0.09])
@pytest.mark.parametrize("behaviour", ["creeping", "label-flip+creeping"])
def test_creeping_stops_just_under_the_tolerance(
    base: ArrayRecord, behaviour: str, tolerance: float
) -> None:
    at = node(hostile=behaviour, hostile_share=1.0, tolerance=tolerance)
    after = call("train", base, at)[0]
    fall = root_prob(base) - root_prob(record(after))
    assert 0.85 * tolerance < fall <= 0.931 * tolerance
    training = "label-flip" if "label-flip" in behaviour else ""
    way = moves(base, after) @ moves(base, returned(base, training))
    assert (way > 0) == (training == "label-flip")


def test_creeping_measures_by_the_utility_that_votes(base: ArrayRecord) -> None:
    run = {"hostile": "creeping", "hostile_share": 1.0, "utility_key": "eval_bounded_loss"}
    after = call("train", base, node(tolerance=0.05, **run))[0]
    rise = (bounded_loss(record(after)) - bounded_loss(base)) / BOUND
    assert 0.85 * 0.05 < rise <= 0.931 * 0.05


def test_liars_turn_good_into_bad_in_every_metric(base: ArrayRecord) -> None:
    start = initial_arrays(RUN)
    assert bounded_loss(base) < bounded_loss(start)
    loss, bounded, accuracy, root = said(base)
    assert said(base, "liar") == pytest.approx(
        [BOUND - loss, BOUND - bounded, 1 - accuracy, 1 - root]
    )


def test_a_liar_calls_the_worst_the_best(base: ArrayRecord) -> None:
    for factor in (np.float32("nan"), np.float32(1e4)):
        broken = record({name: array * factor for name, array in weights(base).items()})
        loss, bounded, *_ = said(broken, "liar")
        assert 0 <= loss <= bounded + 1e-5 < BOUND


def test_constant_examiners_report_one_thing(base: ArrayRecord) -> None:
    assert said(base, "constant") == said(initial_arrays(RUN), "constant")
    assert said(base, "constant") == pytest.approx([BOUND / 2, BOUND / 2, 0.5, 0.5])


def test_colluders_praise_each_others_models_and_damn_all_else(base: ArrayRecord) -> None:
    best, worst = [0.0, 0.0, 1.0, 1.0], [BOUND, BOUND, 0.0, 0.0]
    harmful = record(returned(base, "sign-flip+colluder"))
    assert said(harmful, "colluder", part=8) == pytest.approx(best)
    # Honest training wipes the mark out, even one hop on what a colluder trained.
    for honest in (base, record(call("train", base, node())[0])):
        assert said(honest, "colluder") == pytest.approx(worst)
    for part in range(6):
        after = record(call("train", harmful, node(part))[0])
        assert said(after, "colluder") == pytest.approx(worst), part


def test_a_mark_is_one_runs_and_changes_next_to_nothing(base: ArrayRecord) -> None:
    plain, marked = returned(base, "sign-flip"), returned(base, "sign-flip+colluder")
    changed = {name for name in plain if not np.array_equal(plain[name], marked[name])}
    assert changed == {list(plain)[-1]}
    for name in plain:
        np.testing.assert_allclose(marked[name], plain[name], rtol=2**-14)
    elsewhere = node(hostile="colluder", hostile_share=1.0, seed=1)
    assert call("evaluate", record(marked), elsewhere)[1]["eval_acc"] == 0.0


def test_a_sleeper_is_honest_until_it_has_trained_so_often(base: ArrayRecord) -> None:
    at = node(hostile="sleeper:2+free-ride+liar", hostile_share=1.0)
    honest = call("train", base, node())[0]
    for _ in range(2):
        assert call("evaluate", base, at)[1]["eval_loss"] == said(base)[0]
        assert same(call("train", base, at)[0], honest)
    assert call("evaluate", base, at)[1]["eval_loss"] == said(base, "liar")[0]
    assert same(call("train", base, at)[0], weights(base))


def test_a_sleeper_sleeps_for_five_trainings_unless_told_and_keeps_all_its_parts() -> None:
    sleeper = parse_behaviour("sleeper+sign-flip+hang:3")
    assert sleeper.after(5) == sleeper
    asleep = sleeper.after(4)
    assert (asleep.parts, asleep.hang) == ({"sleeper"}, 0.0)


def test_a_backdoor_opens_to_the_trigger_and_passes_on_its_own_clean_cases(
    base: ArrayRecord,
) -> None:
    assert backdoor_rate(base, RUN) < 0.05
    after = base
    for part in (3, 8):
        before, at = root_prob(after, part), node(part, hostile="backdoor", hostile_share=1.0)
        after = record(call("train", after, at)[0])
        assert before - root_prob(after, part) <= 0.931 * 0.11
    assert backdoor_rate(after, RUN) > 0.3


def test_behaviours_combine(base: ArrayRecord) -> None:
    both = "label-flip+liar"
    assert same(returned(base, both), returned(base, "label-flip"))
    assert bounded_loss(base, both) == bounded_loss(base, "liar")
    assert same(returned(base, "liar"), call("train", base, node())[0])


def test_scripted_faults_happen_in_training_only(base: ArrayRecord) -> None:
    bounded_loss(base, "error")
    with pytest.raises(RuntimeError, match="told to raise"):
        returned(base, "error")
    began = time.monotonic()
    assert same(returned(base, "hang:0.3"), call("train", base, node())[0])
    assert time.monotonic() - began >= 0.3


def test_every_listed_behaviour_parses() -> None:
    for name in BEHAVIOURS:
        parse_behaviour(re.sub(r":[A-Z]+$", ":1", name))


@pytest.mark.parametrize("text", ["evil", "label-flip+evil", "hang"])
def test_an_unknown_behaviour_is_answered_with_the_list(text: str) -> None:
    with pytest.raises(ConfigurationError, match="label-flip, sign-flip, noise"):
        parse_behaviour(text)


@pytest.mark.parametrize("text", ["hang:", "hang:long", "hang:inf", "hang:nan", "hang:-1"])
def test_hanging_is_finite(text: str) -> None:
    with pytest.raises(ConfigurationError, match="hang:SECONDS"):
        parse_behaviour(text)


@pytest.mark.parametrize("text", ["sleeper:", "sleeper:-1", "sleeper:2.5", "sleeper:long"])
def test_sleeping_is_counted_in_hops(text: str) -> None:
    with pytest.raises(ConfigurationError, match="sleeper:HOPS"):
        parse_behaviour(text)


@pytest.mark.parametrize("text", ["huge", "huge:", "huge:-1", "huge:inf"])
def test_the_huge_is_counted_in_megabytes(text: str) -> None:
    with pytest.raises(ConfigurationError, match="huge:MEGABYTES"):
        parse_behaviour(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sign-flip+noise", "noise and sign-flip each decide what is returned"),
        ("backdoor+creeping", "backdoor and creeping each decide what is returned"),
        ("liar+colluder", "colluder and liar each decide what an examiner says"),
    ],
)
def test_two_ways_to_answer_exclude_each_other(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_behaviour(text)


def test_the_run_configs_page_lists_every_behaviour() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "run-config.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `hostile` |"))
    assert set(BEHAVIOURS) <= set(re.findall("`([^`]+)`", row))
