"""The rivals that Flower does not ship, by hand and on digits."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.training import steps_in, train_locally
from clients.variates import Variates
from flower_relay import InMemoryGrid
from strategies.rivals import DaisyChain, Scaffold


def toy(change: Any) -> ClientApp:
    """A ClientApp of one weight: `change` makes the new one of (partition, old)."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        part = int(context.node_config["partition-id"])
        value = float(message.content["arrays"]["w"].numpy()[0])
        content = RecordDict(
            {
                "arrays": ArrayRecord({"w": torch.tensor([change(part, value)])}),
                "metrics": MetricRecord({"num-examples": 1}),
            }
        )
        if "control" in message.content:
            moved = torch.tensor([float(part + 1)])
            content["control"] = ArrayRecord({"w": moved})
            seen.append(dict(message.content["control"]))
        return Message(content, reply_to=message)

    seen: list[dict[str, Any]] = []
    app.seen = seen  # type: ignore[attr-defined]
    return app


def play(strategy: Any, app: ClientApp, nodes: int, rounds: int) -> list[float]:
    """The published weight after each round."""
    published: list[float] = []

    def note(number: int, arrays: ArrayRecord) -> MetricRecord | None:
        published.append(float(arrays["w"].numpy()[0]))
        return None

    random.seed(0)
    strategy.start(
        InMemoryGrid(app, nodes),
        ArrayRecord({"w": torch.tensor([0.0])}),
        num_rounds=rounds,
        train_config=ConfigRecord({}),
        evaluate_fn=note,
    )
    return published


def test_scaffold_takes_the_servers_rate_and_averages_variates_over_everybody() -> None:
    """Two of two clients go to 1 and 3: mean 2, half of it is 1; the variate moves by 3 / 2."""
    app = toy(lambda part, value: value + 1.0 + 2 * part)
    strategy = Scaffold(server_learning_rate=0.5, fraction_evaluate=0.0)
    assert play(strategy, app, 2, 2) == pytest.approx([0.0, 1.0, 2.0])
    controls = [{k: v.numpy().tolist() for k, v in each.items()} for each in app.seen]
    assert controls == [{}, {}, {"w": [1.5]}, {"w": [1.5]}]


def test_a_clients_variate_is_the_mean_gradient_of_what_it_did() -> None:
    """Loss (w − 1)² at w = 0, one step of .1: gradient −2, so that w = .2 and the variate −2."""
    context = Context(1, 1, {}, RecordDict(), {})
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    x, y = torch.ones(1, 1), torch.ones(1)

    def train(drift: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        return train_locally(
            model, x, y, lr=0.1, epochs=1, batch_size=4, generator=generator, drift=drift
        )

    first = Variates(context, ArrayRecord())
    first.around(train, model, 0.1, 1)
    assert model.weight.item() == pytest.approx(0.2)
    assert first.change["weight"].numpy().item() == pytest.approx(-2.0)
    # The server's is −1 by then: gradient 2 (.2 − 1) = −1.6, less own (−2), plus −1: −.6.
    second = Variates(context, ArrayRecord({"weight": torch.tensor([[-1.0]])}))
    second.around(train, model, 0.1, 1)
    assert model.weight.item() == pytest.approx(0.2 + 0.06)
    assert second.change["weight"].numpy().item() == pytest.approx(-1.6 + 2.0)


@pytest.mark.parametrize(
    ("size", "steps"), [(1, 1), (4, 1), (5, 1), (6, 2), (8, 2), (9, 2), (10, 3)]
)
def test_a_last_batch_of_one_makes_no_step_of_its_own(size: int, steps: int) -> None:
    assert steps_in(size, 4, 1) == steps
    assert steps_in(size, 4, 3) == 3 * steps


def test_daisy_chained_models_stay_apart_until_they_are_averaged() -> None:
    """Client 0 doubles, client 1 adds one; from 0, 0 both go on with what the other made."""
    app = toy(lambda part, value: value * 2 if part == 0 else value + 1)
    strategy = DaisyChain(average_every=3, fraction_evaluate=0.0)
    published = play(strategy, app, 2, 3)
    # Round 1: {0, 1}. Then whoever meets whom, the sum of both is what was made, halved.
    assert published[:2] == [0.0, 0.5]
    assert published[2] in (1.0, 1.5)  # 0·2 and 1 + 1, or 1·2 and 0 + 1
    assert len(strategy._models) == 1
    assert float(strategy._models[0]["w"].numpy()[0]) == published[3]


def test_two_models_of_a_daisy_chain_are_both_handed_on() -> None:
    app = toy(lambda part, value: value + 1)
    strategy = DaisyChain(average_every=100, fraction_evaluate=0.0)
    assert play(strategy, app, 3, 4) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [float(np.asarray(m["w"].numpy())[0]) for m in strategy._models] == [4.0] * 3
