"""How many examine and what is audited: all until a run has risen and while bonds are lost.

Else five examine, and a part of the hops is audited.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from flwr.app import Context, Message

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.mechanism.blocks import Commitment, Deposit, Settlement
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.rules.outcomes import Outcome
from tests.linear import client, genesis_model
from tests.signers import same_run, verify

NODES, OTHERS = 20, 15
WORST = 180.0
"""About twice what the genesis model loses: what a loss is clipped at."""


def seats_of(strategy: RelayStrategy) -> list[tuple[int, int, bool]]:
    """Of each round its cycle, how many were drawn, and whether a hop went untested."""
    found, cycle, drawn = [], 0, 0
    for block in strategy.chain:
        if isinstance(block, Deposit):
            cycle = block.cycle
        elif isinstance(block, Examined):
            drawn = len(block.committee)
        elif isinstance(block, Settlement):
            hops = [hop for lane in block.lanes for hop in lane.hops]
            found.append((cycle, drawn, any(hop.outcome == Outcome.UNTESTED for hop in hops)))
    return found


def test_all_seats_are_taken_until_the_run_has_risen_and_five_after_that() -> None:
    strategy = RelayStrategy(seed=1, budget=70, observers=())
    strategy.start(InMemoryGrid(client, NODES), genesis_model(), num_rounds=70, timeout=20)
    rounds = seats_of(strategy)
    seats = [drawn for _, drawn, _ in rounds]
    assert (seats[0], seats[-1]) == (OTHERS, 5)
    assert seats == sorted(seats, reverse=True)
    assert verify(strategy.chain).ok


def test_one_round_after_an_untested_hop_has_all_seats() -> None:
    """From the third cycle on a fifth of the nodes fails as examiners."""

    def app(message: Message, context: Context) -> Message:
        now = int(str(message.content.config_records["config"].get("server-round", 0)))
        number = int(context.node_config["partition-id"])
        if message.metadata.message_type == "evaluate" and now > 25 and number % 3 == 0:
            raise RuntimeError("no power")
        return client(message, context)

    strategy = RelayStrategy(**same_run(), seed=1, budget=90, observers=())
    strategy.start(InMemoryGrid(app, NODES), genesis_model(), num_rounds=90, timeout=20)
    rounds = [each for each in seats_of(strategy) if each[0] >= 2]
    assert any(untested for _, _, untested in rounds)
    for (_, _, untested), (_, drawn, _) in pairwise(rounds):
        assert (drawn > 5) == untested
    assert verify(strategy.chain).ok


def test_a_fan_out_has_all_seats() -> None:
    strategy = RelayStrategy(seed=1, topology="fan-out", budget=60, observers=())
    strategy.start(InMemoryGrid(client, NODES), genesis_model(), num_rounds=20, timeout=20)
    assert min(drawn for _, drawn, _ in seats_of(strategy)) > 5


def audited_late(app: Callable[[Message, Context], Message]) -> float:
    """The part of the hops of a run's last ten rounds that was audited."""
    strategy = RelayStrategy(**same_run(), seed=1, budget=70, observers=())
    strategy.start(InMemoryGrid(app, NODES), genesis_model(), num_rounds=70, timeout=20)
    tests = [block for block in strategy.chain if isinstance(block, Examined)][-10:]
    made = {
        block.round: sum(claim.fault is None for claims in block.lanes for claim in claims)
        for block in strategy.chain
        if isinstance(block, Commitment)
    }
    assert verify(strategy.chain).ok
    return sum(len(block.audited) for block in tests) / sum(made[block.round] for block in tests)


def test_all_hops_are_audited_while_bonds_are_lost_and_a_part_of_them_else() -> None:
    """A third of the nodes calls good models bad, and bad ones good."""

    def app(message: Message, context: Context) -> Message:
        reply = client(message, context)
        liar = int(context.node_config["partition-id"]) % 3 == 0
        if liar and message.metadata.message_type == "evaluate":
            metrics = reply.content.metric_records["metrics"]
            metrics["eval_loss"] = max(0.0, WORST - float(str(metrics["eval_loss"])))
        return reply

    assert audited_late(app) == 1.0
    assert 0.1 < audited_late(client) < 0.6
