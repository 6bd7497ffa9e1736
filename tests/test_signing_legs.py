"""Signatures where a leg fails, and where a hop is shortened because its trainer is in debt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from flower_relay.mechanism.blocks import Block, Commitment, HopClaim, Settlement
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.node.mod import relay_mod
from flower_relay.store import MemoryStore
from flower_relay.wire.statements import Hop, attests
from tests.signers import (
    INVENTED,
    NODES,
    App,
    descending,
    fixed_keys,
    found_in,
    genesis_of,
    moment_in,
    play,
    verify,
    weights,
)

# A leg that failed.


def test_every_hop_of_a_failed_leg_has_its_examiners_signatures_in_the_one_test(
    keys: Path,
) -> None:
    at, blocks, tested = leg_that_failed(spoiling(relay_mod), keys)
    verdict = verify(blocks)
    assert verdict.ok and verdict.votes_attested == 0, verdict.first_problem
    for model in fresh_in(blocks[at - 1]):
        rows = [list(row) for row in tested.signatures]
        row = tested.models.index(model)
        column = next(place for place, cell in enumerate(rows[row]) if cell)
        rows[row][column] = None
        forged = replace(tested, signatures=tuple(map(tuple, rows)))
        expected = (at, f"testing.signatures[{row}][{column}]")
        assert found_in([*blocks[:at], forged]) == expected


def test_nobody_gets_a_signed_vote_that_it_had_not_cast(keys: Path) -> None:
    spoilt = spoiling(relay_mod)

    def app(message: Message, context: Context) -> Message:
        reply = spoilt(message, context)
        said = reply.content.get("relay")
        if context.node_config["partition-id"] == 2 and said and "values" in said:
            del said["values"]
        return reply

    at, blocks, tested = leg_that_failed(app, keys, silent=True, examiners=NODES)
    assert verify(blocks).ok
    row = tested.models.index(fresh_in(blocks[at - 1])[0])
    column = silent_columns(tested)[0]
    rows = [list(values) for values in tested.utilities]
    rows[row][column] = 0.9
    forged = replace(tested, utilities=tuple(map(tuple, rows)))
    assert found_in([*blocks[:at], forged]) == (at, f"testing.signatures[{row}][{column}]")


def fresh_in(block: Block) -> list[str]:
    """The candidates of a commitment, in order."""
    assert isinstance(block, Commitment)
    claims = [claim for lane in block.lanes for claim in lane]
    return [claim.model for claim in claims if claim.model and claim.fault is None]


def leg_that_failed(
    app: App, keys: Path, silent: bool = False, **options: Any
) -> tuple[int, list[Block], Examined]:
    """A run in which a leg of several hops failed, and the test of it."""
    for seed in range(30):
        blocks = list(play(app, keys, rounds=6, seed=seed, **options).chain)
        for at, (tested, settled) in enumerate(pairwise(blocks)):
            if isinstance(tested, Examined) and isinstance(settled, Settlement):
                failed = settled.lanes[0].passed is False
                wanted = failed and len(fresh_in(blocks[at - 1])) > 1
                if wanted and (not silent or silent_columns(tested)):
                    return at, blocks, tested
    raise AssertionError("no leg failed")


def silent_columns(tested: Examined) -> list[int]:
    """Examiners who said nothing about any model."""
    columns = enumerate(zip(*tested.utilities, strict=True))
    return [place for place, values in columns if set(values) == {None}]


# Who is in debt.


class Hoard(MemoryStore):
    """Forgets nothing, so that models of the past can be looked at."""

    def keep_only(self, names: Iterable[str]) -> None:
        pass


@pytest.fixture(scope="module")
def indebted(keys: Path) -> tuple[list[Block], Hoard]:
    """A run in which everybody begins with a whole debt, and hands on half of its way."""
    store = Hoard()
    options = {"store": lambda: store, "planted": 0.0, "first_debt": 1.0}
    return list(play(spoiling(relay_mod), keys, rounds=16, **options).chain), store


def hops_with_sent(blocks: list[Block]) -> list[tuple[int, int, HopClaim]]:
    """Of the hops that were shortened: the block, the place in the leg, the claim."""
    return [
        (at, place, claim)
        for at, block in enumerate(blocks)
        if isinstance(block, Commitment)
        for place, claim in enumerate(block.lanes[0])
        if claim.sent is not None
    ]


def test_of_who_is_in_debt_half_the_way_is_handed_on(
    indebted: tuple[list[Block], Hoard],
) -> None:
    blocks, store = indebted
    verdict = verify(blocks)
    assert verdict.ok and verdict.hops_attested == 0, verdict.first_problem
    at, place, claim = hops_with_sent(blocks)[0]
    assert claim.fault is None and claim.sent != claim.model
    sent, model, base = (store.get(n)["w"] for n in (claim.sent, claim.model, claim.base))
    np.testing.assert_allclose(model, (base + sent) / 2)
    tested, settled = blocks[at + 1 : at + 3]
    assert isinstance(tested, Examined) and isinstance(settled, Settlement)
    assert claim.model in tested.models and claim.sent not in tested.models
    assert settled.lanes[0].hops[place].model == claim.model


def test_who_is_in_debt_signs_what_it_handed_in(
    indebted: tuple[list[Block], Hoard],
) -> None:
    blocks, _ = indebted
    at, place, claim = hops_with_sent(blocks)[0]
    genesis, _ = genesis_of(blocks)
    name, commitment = genesis.participants[claim.trainer], blocks[at]
    assert isinstance(commitment, Commitment) and claim.sent and claim.signature
    hop = Hop(at=moment_in(blocks, at), parent=claim.base, model=claim.sent)
    assert attests(name, hop, claim.signature)
    for forged, field in (
        (replace(claim, sent=INVENTED), "signature"),
        (replace(claim, sent=None), "sent"),
    ):
        lane = [*commitment.lanes[0]]
        lane[place] = forged
        found = found_in([*blocks[:at], replace(commitment, lanes=(tuple(lane),))])
        assert found == (at, f"commitment.lanes[0][{place}].{field}")


def test_who_is_in_debt_cannot_bring_back_an_old_model_by_half_of_its_way(tmp_path: Path) -> None:
    train = descending(())

    def turned(message: Message, context: Context) -> Message:
        def training(inner: Message, _: Context) -> Message:
            reply = train(inner, context)
            if context.node_config["partition-id"] == 0 and "arrays" in reply.content:
                # Half of the way from w to -w is the first model, in which all is 0.
                reply.content["arrays"] = ArrayRecord({"w": Array(-weights(inner))})
            return reply

        return relay_mod(message, context, training)

    # The same turns each time: in some draws it never has one on another base than the first.
    # The run does not rise by half of so wide a tolerance, so that first debts count.
    drawn = {"nonces": 0, "run_id": "91" * 32, "tolerance": 1.0}
    keys = fixed_keys(tmp_path, NODES)
    blocks = list(play(turned, keys, rounds=16, first_debt=1.0, **drawn).chain)
    verdict = verify(blocks)
    assert verdict.ok, verdict.first_problem
    first_model = genesis_of(blocks)[0].model
    claims = [c for b in blocks if isinstance(b, Commitment) for lane in b.lanes for c in lane]
    late = [claim for claim in claims if claim.fault and claim.base != first_model]
    # Once hops move less and less, so far a way is none, whoever brings back what.
    faulty = [claim for claim in late if claim.fault != "oversized"]
    assert faulty
    for claim in faulty:
        assert (claim.fault, claim.model, claim.sent, claim.signature) == (
            "unchanged", None, None, None,
        )  # fmt: skip


def spoiling(mod: Callable[[Message, Context, App], Message]) -> App:
    """Every third node hands on eight steps backwards, and signs them."""
    train = descending(())

    def spoilt(message: Message, context: Context) -> Message:
        def training(inner: Message, _: Context) -> Message:
            reply = train(inner, context)
            if context.node_config["partition-id"] % 3 == 0 and "arrays" in reply.content:
                base, own = weights(message), weights(reply)
                off = base - 8 * (own - base)
                reply.content["arrays"] = ArrayRecord({"w": Array(off)})
            return reply

        return mod(message, context, training)

    return spoilt
