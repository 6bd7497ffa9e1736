"""Nothing that fails is silent: each fault is said once, and a run without a hop fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.errors import ConfigurationError, RunFailedError
from flower_relay.federation.record import RelayObserver, RunRecord
from flower_relay.mechanism.blocks import Settlement

NODES = 6


class Odd:
    """What a ClientApp of these tests does otherwise: a hook for each part of its replies."""

    def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
        return ArrayRecord({"w": Array(w + np.float32(0.2 + number / 100) * (1 - w))})

    def train_metrics(self, number: int) -> dict[str, Any]:
        return {"train_loss": 1.0, "num-examples": 5}

    def loss(self, number: int, w: np.ndarray) -> float:
        return float(np.mean((1 - w) ** 2)) + number / 100


def app_of(odd: Odd) -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        arrays = odd.arrays(number, message.content["arrays"]["w"].numpy())
        metrics = MetricRecord(odd.train_metrics(number))
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        loss = odd.loss(number, message.content["arrays"]["w"].numpy())
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5, "partition-id": number})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def play(odd: Odd, rounds: int = 8, **options: Any) -> RelayStrategy:
    strategy = RelayStrategy(**{"seed": 1, "examiners": 4, "observers": ()} | options)
    first = ArrayRecord({"w": Array(np.zeros(4, np.float32))})
    strategy.start(InMemoryGrid(app_of(odd), NODES), first, num_rounds=rounds, timeout=20)
    return strategy


class Prefixed(Odd):
    def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
        return ArrayRecord({"_orig_mod.w": Array(w + 1)})


class Raising(Odd):
    def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
        raise RuntimeError("CUDA out of memory")


def test_a_first_cycle_of_one_fault_ends_the_run_with_the_reason_and_the_likely_cause() -> None:
    with pytest.raises(RunFailedError, match=r"6 trainers.*'mis-shaped'.*torch.compile") as raised:
        play(Prefixed(), rounds=50)
    assert "every name begins with '_orig_mod.'" in str(raised.value)


def test_what_a_client_app_raised_is_in_the_error() -> None:
    with pytest.raises(RunFailedError, match="RuntimeError: CUDA out of memory"):
        play(Raising(), rounds=50)


def test_who_watches_sees_the_end_of_a_failed_run() -> None:
    ended: list[int] = []

    class Watch(RelayObserver):
        def on_end(self, record: RunRecord) -> None:
            ended.append(len(record.hops))

    with pytest.raises(RunFailedError):
        play(Raising(), rounds=50, observers=[Watch()])
    assert ended == [NODES]


def test_a_fault_is_logged_once_for_each_participant_and_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class One(Odd):
        def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
            return ArrayRecord({"w": Array(w[:2])}) if number == 3 else super().arrays(number, w)

    with caplog.at_level("WARNING", logger="flwr"):
        strategy = play(One(), rounds=60, first_debt=0.0)
    faults = [hop for hop in strategy.record.hops if hop.outcome == "mis-shaped"]
    assert len(faults) > 1
    assert all("expected shape (4,), found (2,)" in hop.reason for hop in faults)
    assert caplog.text.count("mis-shaped: array 'w': expected shape (4,), found (2,)") == 1


def test_a_run_whose_hops_were_all_voted_down_goes_on_to_its_end_and_fails_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Harming(Odd):
        def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
            return ArrayRecord({"w": Array(w - 1 - np.float32(number))})

    with (
        caplog.at_level("WARNING", logger="flwr"),
        pytest.raises(RunFailedError, match=r"no hop counted: .*rejected"),
    ):
        play(Harming(), rounds=25, first_debt=0.0)
    assert "were voted down" in caplog.text
    assert "its training gives the same again" in caplog.text  # not that it copied somebody


def test_votes_that_tell_nothing_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Beyond(Odd):
        def loss(self, number: int, w: np.ndarray) -> float:
            return 1.0 if not w.any() else -1.0 - float(w.sum())

    with caplog.at_level("WARNING", logger="flwr"):
        play(Beyond(), rounds=12)
    assert "no examiner saw any difference" in caplog.text
    assert "less than 0, and counts as that" in caplog.text


@pytest.mark.parametrize(
    "metrics",
    [
        {"num-examples": [5]},
        {"num-examples": 0},
        {"num-examples": -5},
        {"num-examples": float("nan")},
        {"num-examples": 5, "train_loss": [1.0, 2.0]},
        {"num-examples": 5, "per-class": [1.0] * 3},
        {"num-examples": 5, "train_loss": 10**400},
        {},
    ],
    ids=str,
)
def test_metrics_that_cannot_be_averaged_are_left_out_and_the_hop_counts(
    metrics: dict[str, Any],
) -> None:
    class One(Odd):
        def train_metrics(self, number: int) -> dict[str, Any]:
            return metrics if number == 3 else super().train_metrics(number)

    strategy = play(One(), rounds=10)
    assert {hop.outcome for hop in strategy.record.hops} == {"accepted"}


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_another_precision_is_cast_and_the_hop_counts_and_that_is_said_once(
    kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    class Precise(Odd):
        def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
            return ArrayRecord({"w": Array((w + 0.25 * (1 - w)).astype(kind))})

    with caplog.at_level("WARNING", logger="flwr"):
        strategy = play(Precise())
    assert {hop.outcome for hop in strategy.record.hops} == {"accepted"}
    name = np.dtype(kind).name
    assert caplog.text.count("cast") - caplog.text.count("precision: cast: ") == 1
    assert f"array 'w': it is of type {name}, and is cast to the base's float32" in caplog.text


def test_only_the_sender_pays_for_what_could_not_be_read() -> None:
    class One(Odd):
        def arrays(self, number: int, w: np.ndarray) -> ArrayRecord:
            packed = Array(dtype="float32", shape=(4,), stype="own", data=b"x")
            return ArrayRecord({"w": packed}) if number == 3 else super().arrays(number, w)

    strategy = play(One(), rounds=8, first_debt=0.0)
    odd = strategy.running.node_of
    payments = [
        payment
        for block in strategy.chain
        if isinstance(block, Settlement)
        for payment in block.payments
        if payment.rule == "forfeit"
    ]
    assert {odd[payment.participant] for payment in payments} <= {1001 + 3}


def test_ones_own_candidate_that_nobody_tested_may_be_handed_in_again() -> None:
    calls = iter(range(10_000))

    class Outage(Odd):
        def loss(self, number: int, w: np.ndarray) -> float:
            if NODES <= next(calls) < NODES + 40:
                raise RuntimeError("the validation set is not mounted")
            return super().loss(number, w)

    strategy = play(Outage(), rounds=20, max_leg=1)
    outcomes = [hop.outcome for hop in strategy.record.hops]
    assert outcomes[0] == "untested"
    assert set(outcomes) == {"untested", "accepted"}


def test_a_silent_newcomer_holds_nobody_up() -> None:
    strategy = RelayStrategy(seed=1, examiners=4, observers=(), min_available_nodes=NODES)
    joined: list[int] = []

    class Late(InMemoryGrid):
        def get_node_ids(self) -> list[int]:
            nodes = list(super().get_node_ids())
            joined.append(1)
            return nodes if len(joined) > 20 else [node for node in nodes if node < 2000]

    late = Late(app_of(Odd()), NODES)
    late.join(2000)
    late.silence(2000)
    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(late, first, num_rounds=20, timeout=3600)  # it would take hours
    assert len(strategy.record.participants) == NODES


def test_a_hook_that_makes_another_number_of_messages_is_an_error_that_says_so() -> None:
    class Fewer(RelayStrategy):
        def configure_evaluate(self, *arguments: Any) -> list[Message]:
            return list(super().configure_evaluate(*arguments))[:1]

    with pytest.raises(ConfigurationError, match="configure_evaluate should make one message"):
        Fewer(observers=()).start(
            InMemoryGrid(app_of(Odd()), NODES), ArrayRecord({"w": Array(np.zeros(4))}), timeout=9
        )


def test_a_hook_that_returns_nothing_is_an_error_that_says_so() -> None:
    class Nothing(RelayStrategy):
        def configure_train(self, *_: Any) -> Any:
            return None

    first = ArrayRecord({"w": Array(np.zeros(4))})
    with pytest.raises(ConfigurationError, match="configure_train should make one message"):
        Nothing(observers=()).start(InMemoryGrid(app_of(Odd()), NODES), first, timeout=9)


@pytest.mark.parametrize(
    "hook", ["configure_train", "configure_evaluate", "aggregate_train", "aggregate_evaluate"]
)
@pytest.mark.parametrize("returned", [3, "text", [3], (3, 3), {"w": 1}], ids=str)
def test_a_hook_that_returns_something_else_is_named_in_the_error(
    hook: str, returned: object
) -> None:
    strategy = type("Odd", (RelayStrategy,), {hook: lambda *_: returned})(observers=())
    first = ArrayRecord({"w": Array(np.zeros(4))})
    with pytest.raises(ConfigurationError, match=hook):
        strategy.start(InMemoryGrid(app_of(Odd()), NODES), first, num_rounds=6, timeout=9)


@pytest.mark.parametrize("observers", [3, RelayObserver(), [RelayObserver], ["progress"]])
def test_observers_that_are_none_are_refused_by_name(observers: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"observers = .*expected a list of RelayObserver"):
        RelayStrategy(observers=observers)


@pytest.mark.parametrize("evaluate_fn", [3, lambda *_: {"accuracy": 1.0}, lambda *_: "good"])
def test_a_server_evaluation_that_gives_no_metrics_is_refused(evaluate_fn: Any) -> None:
    first = ArrayRecord({"w": Array(np.zeros(4))})
    grid = InMemoryGrid(app_of(Odd()), NODES)
    with pytest.raises(ConfigurationError, match="evaluate_fn"):
        RelayStrategy(observers=()).start(grid, first, timeout=9, evaluate_fn=evaluate_fn)


def test_a_subclass_that_asks_the_grid_for_nodes_finds_those_it_is_to_address() -> None:
    asked: list[int] = []

    class Sampling(RelayStrategy):
        def configure_train(
            self, server_round: int, arrays: ArrayRecord, config: Any, grid: Any
        ) -> list[Message]:
            nodes = list(grid.get_node_ids())
            asked.append(len(nodes))
            content = RecordDict({"arrays": arrays, "config": config})
            return [Message(content, node, "train") for node in nodes]

    first = ArrayRecord({"w": Array(np.zeros(4))})
    Sampling(observers=()).start(InMemoryGrid(app_of(Odd()), NODES), first, num_rounds=4)
    assert set(asked) == {1}


def test_what_a_server_evaluation_does_to_its_arrays_stays_its_own() -> None:
    def zeroing(_: int, arrays: ArrayRecord) -> None:
        for name in list(arrays):
            arrays[name] = Array(arrays[name].numpy() * 0)

    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy = RelayStrategy(seed=1, observers=())
    result = strategy.start(
        InMemoryGrid(app_of(Odd()), NODES), first, num_rounds=10, evaluate_fn=zeroing
    )
    assert result.arrays["w"].numpy().min() > 0.5
