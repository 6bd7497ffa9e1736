"""The scale of the metric that votes is checked before a run begins."""

from __future__ import annotations

import math

import pytest

from flower_relay import ConfigurationError, NotEnoughParticipantsError, RelaySettings
from flower_relay.federation.greetings import Answer
from flower_relay.federation.scale import bound_of, check_utility


def answers(*values: float | None, trouble: str = "", found: str = "score") -> list[Answer]:
    return [
        Answer(
            node_id=node, name=f"node-{node}", role="both", metric=value, nonce=None, holds=None,
            found=() if trouble else (found,), trouble=trouble,
        )
        for node, value in enumerate(values)
    ]  # fmt: skip


def falls(**more: float) -> RelaySettings:
    return RelaySettings.from_mapping({"utility_key": "score", **more})


def rises(**more: float) -> RelaySettings:
    return RelaySettings.from_mapping({"utility_key": "score", "utility_rises": True, **more})


def test_a_loss_is_bounded_by_twice_the_first_models_median() -> None:
    assert bound_of(answers(1.0, 2.0, 30.0), falls()) == 4.0


def test_a_metric_that_rises_is_bounded_by_one() -> None:
    assert bound_of(answers(0.0, 0.1, 0.3), rises()) == 1.0


def test_a_bound_that_was_set_is_kept() -> None:
    assert bound_of(answers(1.0, 2.0), falls(utility_bound=10.0)) == 10.0


@pytest.mark.parametrize(
    ("values", "settings", "bound"),
    [
        ((9.8, 10.2, 11.0), rises(), 100.0),
        ((100.0, 100.0), rises(), 100.0),  # nothing is left to learn, as at an accuracy of 1
        ((0.8, 0.9, 1.1), rises(), 1.0),  # of a percentage as well: nobody can tell yet
        ((-2.5, -2.0, -2.25), rises(), -4.5),
        ((-0.5, -0.25), falls(), -1.0),
        ((-9.8, -10.2), falls(), -100.0),
        ((0.0, 0.0, -1.0), falls(), -1.0),
        ((-0.0, -0.0), falls(), -1.0),
        ((0.0, 0.0, -1.0), rises(), 1.0),
        ((-0.5, 0.1, -0.4), falls(utility_bound=1.0), -1.0),
        ((-2.5, -2.0), rises(utility_bound=10.0), -10.0),
    ],
)
def test_the_median_says_on_which_side_of_zero_a_metric_lies_and_how_far_it_reaches(
    values: tuple[float, ...], settings: RelaySettings, bound: float
) -> None:
    check_utility(answers(*values), settings)
    assert bound_of(answers(*values), settings) == bound


@pytest.mark.parametrize(
    ("values", "settings", "cure"),
    [
        ((120.0, 1500.0, 1600.0), rises(), r"Set utility_bound .* set utility_rises = False"),
        ((-120.0, -150.0), falls(), r"Set utility_bound .* set utility_rises = True"),
        ((9.8, 10.2), rises(utility_bound=1.0), "100 where it is in percent"),
        ((-9.8, -10.2), falls(utility_bound=1.0), "100 where it is in percent"),
        ((0.0, 0.0), falls(), "Set utility_bound"),
        ((0.0, 0.0, 3.0), falls(), "Set utility_bound"),
        ((3.0, 4.0, 5.0), falls(utility_bound=2.0), r"utility_bound = 2 .* or leave it out"),
        ((-3.0, -4.0), rises(utility_bound=2.0), r"utility_bound = -2 .* or leave it out"),
        ((2.0, 2.0), falls(utility_bound=2.0), "utility_bound"),
        ((math.nan, math.inf, 1.0), falls(), "NaN or infinite at 2 of 3"),
        ((1e308, -1e308, 1.0), falls(), "NaN or infinite at 2 of 3"),
    ],
)
def test_a_scale_that_would_let_everything_pass_is_refused_with_its_cure(
    values: tuple[float, ...], settings: RelaySettings, cure: str
) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        check_utility(answers(*values), settings)


def test_one_node_cannot_stop_a_run_by_what_it_reports() -> None:
    for odd in (1e30, -1e30, math.nan, math.inf, 0.0):
        assert bound_of(answers(odd, 2.0, 2.0), falls()) == 4.0


def test_a_metric_that_nobody_reports_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="the replies hold: accuracy"):
        check_utility(answers(None, None, found="accuracy"), falls())


def test_a_client_that_raises_when_it_evaluates_is_shown_with_its_own_reason() -> None:
    failed = answers(None, None, trouble="error: KeyError: 'eval-batch'")
    with pytest.raises(NotEnoughParticipantsError, match="KeyError: 'eval-batch'"):
        check_utility(failed, falls())
