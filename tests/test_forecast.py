"""`flower-relay plan`: what a run will take, from a small one that is imagined."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from flower_relay.cli import app as cli
from flower_relay.comparison.devices import FLEETS
from flower_relay.errors import ConfigurationError
from flower_relay.forecast import Forecast, Question, forecast
from flower_relay.settings import RelaySettings

UNTESTED = RelaySettings(examiners=0)
SMALL = Question(nodes=6, model_mb=10, hops=30, settings=UNTESTED)


def relay_of(asked: Question) -> Forecast:
    return forecast(asked)[0]


def test_an_untested_relay_takes_two_models_a_hop() -> None:
    found = relay_of(SMALL)
    assert (found.trainings, found.evaluations) == (30, 6)  # everybody once, at first contact
    assert found.messages == 36
    # 30 hops there and back and six first contacts there, 10 MB each.
    assert found.megabytes_a_node == pytest.approx((2 * 30 + 6) * 10 / 6, rel=0.03)


def test_fedavg_takes_two_models_a_training() -> None:
    found = forecast(SMALL)[1]
    assert (found.strategy, found.trainings, found.evaluations) == ("FedAvg", 30, 0)
    assert found.megabytes_a_node == pytest.approx(2 * 30 * 10 / 6, rel=0.03)


def test_the_clock_is_the_stated_fleets() -> None:
    # Alike and always there: latency and 10 MB at 12.5 MB/s, twice, and a second of training;
    # first contact is 10 MB, 100 tests, and back.
    hop, contact = 2 * (0.02 + 0.8) + 1.0, 2 * 0.02 + 0.8 + 200 * 3e-4
    found = relay_of(replace(SMALL, cases=1000))
    assert found.hours * 3600 == pytest.approx(30 * hop + contact, rel=0.01)


def test_a_long_run_goes_on_at_the_pace_of_a_short_one() -> None:
    short, long = (relay_of(replace(SMALL, hops=hops)) for hops in (60, 600))
    assert long.trainings == 600
    for name in ("messages", "megabytes_a_node", "hours"):
        assert getattr(long, name) == pytest.approx(10 * getattr(short, name), rel=0.15)
    assert long.ledger_mb == pytest.approx(10 * (short.ledger_mb or 0))


def test_a_larger_model_takes_as_much_more() -> None:
    small, large = (relay_of(replace(SMALL, model_mb=size)) for size in (10, 100))
    assert large.megabytes_a_node == pytest.approx(10 * small.megabytes_a_node)
    assert large.server_mb > small.server_mb and large.hours > small.hours


def test_testing_is_what_bytes_go_for_and_the_mod_saves_most_of_them() -> None:
    bare, modded = (
        relay_of(Question(nodes=20, model_mb=0.02, hops=100, mod=mod)) for mod in (False, True)
    )
    # Measured with the digits' model, docs/how-to/bytes.md; who examines is drawn anew each time.
    assert 12 < bare.megabytes_a_node * 20 / 100 / 0.02 < 33
    assert modded.megabytes_a_node < bare.megabytes_a_node / 2.5
    assert modded.messages < bare.messages / 2


@pytest.mark.parametrize("fleet", FLEETS)
def test_every_fleet_of_the_comparison_can_be_asked_for(fleet: str) -> None:
    done = CliRunner().invoke(cli, ["plan", "--nodes", "4", "--hops", "8", "--fleet", fleet,
                                    "--examiners", "2"])  # fmt: skip
    assert done.exit_code == 0, done.output
    for word in ("relay", "FedAvg", "evaluations", "bytes a node", "hours", "ledger", "server"):
        assert word in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fleet": "toasters"}, "one of homogeneous, phones, hospitals"),
        ({"model_mb": 0.0}, "expected a number above 0"),
        ({"case_seconds": float("nan")}, "expected a number above 0"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        replace(SMALL, **change)  # type: ignore[arg-type]
