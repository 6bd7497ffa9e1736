"""Runs in which participants sign: what is on record then, and what becomes of who cheats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message

from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Block, Commitment, Deposit, HopClaim, Settlement
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.mechanism.identity import participant_name
from flower_relay.mechanism.state import begin
from flower_relay.mechanism.testing import decide_tests
from flower_relay.node.keys import load_or_create
from flower_relay.node.mod import relay_mod
from flower_relay.store import MemoryStore
from flower_relay.wire.statements import Hop, Moment, Opening, Vote, attests, public_hex, sign
from tests.signers import (
    INVENTED,
    NODES,
    OPERATOR,
    App,
    descending,
    first,
    fixed_keys,
    found_in,
    genesis_of,
    moment_in,
    play,
    sealed,
    verify,
    weights,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def ledger(keys: Path) -> list[Block]:
    return list(play(descending(), keys).chain)


# An honest run.


def test_who_signs_is_named_by_its_key_and_everything_it_did_is_signed(
    ledger: list[Block], keys: Path
) -> None:
    verdict = verify(ledger)
    assert verdict.ok, verdict.first_problem
    genesis, _ = genesis_of(ledger)
    held = {participant_name(public_hex(load_or_create(path))) for path in keys.glob("*.key")}
    assert set(genesis.participants) == held and len(held) == NODES
    assert genesis.utilities == (None,) * NODES
    hops = [c for b in ledger if isinstance(b, Commitment) for lane in b.lanes for c in lane]
    assert (verdict.hops_signed, verdict.hops_attested) == (len(hops), 0)
    cast = [s for b in ledger if isinstance(b, Examined) for row in b.signatures for s in row if s]
    assert (verdict.votes_signed, verdict.votes_attested) == (len(cast), 0) and cast
    assert (verdict.draws_with_nonces, verdict.draws_without) == (4, 0)
    assert verdict.nonces_withheld == 0


def test_every_draw_has_nonces_of_its_own(ledger: list[Block]) -> None:
    openings = [block.nonces for block in ledger if isinstance(block, Examined)]
    assert [len(nonces) for nonces in openings] == [4, 4, 4, 4]  # three are needed
    assert len({item.nonce for nonces in openings for item in nonces}) == 16


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_draw_depends_on_every_nonce(ledger: list[Block], place: int) -> None:
    at = first(Commitment, ledger)
    deposit, commitment, tested = ledger[at - 1 : at + 2]
    assert isinstance(deposit, Deposit) and isinstance(commitment, Commitment)
    assert isinstance(tested, Examined)
    state, head = begin(genesis_of(ledger)[0]), sealed(ledger[: at + 1])[-1].hash
    apply(state, deposit)
    drawn = decide_tests(state, head, deposit, commitment, tested.nonces)
    assert drawn.committee == tested.committee
    others = set()
    for number in range(64):
        nonces = list(tested.nonces)
        nonces[place] = replace(nonces[place], nonce=f"{number:064x}")
        plan = decide_tests(state, head, deposit, commitment, tuple(nonces))
        others.add(plan.committee)
    assert len(others) > 5  # of the 15 committees of 4 out of 6


def test_without_the_mod_all_is_attested_by_the_operator_and_the_draw_is_its_choice(
    keys: Path,
) -> None:
    verdict = verify(play(descending(()), keys).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.hops_signed == verdict.votes_signed == verdict.draws_with_nonces == 0
    assert verdict.hops_attested > 0 and verdict.votes_attested > NODES
    assert verdict.draws_without == 4


def test_some_may_sign_and_others_not(keys: Path) -> None:
    with_mod, without = descending(), descending(())

    def app(message: Message, context: Context) -> Message:
        signs = int(context.node_config["partition-id"]) < 4
        return (with_mod if signs else without)(message, context)

    strategy = play(app, keys, rounds=6)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    names = genesis_of(list(strategy.chain))[0].participants
    assert [name[:4] for name in names] == ["part"] * 3 + ["key:"] * 4
    assert min(verdict.hops_signed, verdict.hops_attested) > 0
    assert min(verdict.votes_signed, verdict.votes_attested) > 3
    assert verdict.draws_with_nonces > 0


def test_with_stable_keys_and_no_nonces_a_run_repeats_byte_for_byte(tmp_path: Path) -> None:
    runs = [
        play(descending(), fixed_keys(tmp_path / name, NODES), nonces=0, run_id="5a" * 32)
        for name in "ab"
    ]
    assert runs[0].chain.head == runs[1].chain.head
    verdict = verify(runs[0].chain)
    assert verdict.ok and verdict.draws_without == 4 and verdict.hops_attested == 0


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


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"signatures": ["00" * 64]}, "there is no signature of the examiner's under what it"),
        ({"values": ["0.5"]}, "its mod told no number that it measured"),
    ],
)
def test_an_examiner_whose_vote_does_not_count_is_named_once_with_the_reason(
    spoil: dict[str, Any], reason: str, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = descending()

    def app(message: Message, context: Context) -> Message:
        reply = inner(message, context)
        said = reply.content.get("relay")
        if context.node_config["partition-id"] == 2 and said and "values" in said:
            reply.content["relay"] = ConfigRecord({**said, **spoil})
        return reply

    with caplog.at_level("WARNING", logger="flwr"):
        strategy = play(app, keys, examiners=NODES)
    [notice] = strategy.record.notices.of_kind("no vote")
    assert reason in notice.reason and notice.count > 1
    assert caplog.text.count(": no vote: ") == 1


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
    drawn = {"nonces": 0, "run_id": "91" * 32}
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


# Participants who do not keep to it.


def altered(change: Callable[[ConfigRecord, Message], None], partition: int = 2) -> App:
    """One node says something else than its mod does, once the run has begun."""
    app = descending()

    def altering(message: Message, context: Context) -> Message:
        reply = app(message, context)
        asked = message.content["config"]
        if context.node_config["partition-id"] == partition and "relay-hello" not in asked:
            change(reply.content["relay"], message)
        return reply

    return altering


def test_a_hop_without_its_trainers_signature_is_at_fault_like_an_error(keys: Path) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if message.metadata.message_type == "train":
            said["signature"] = "00" * 64

    strategy = play(altered(change), keys, rounds=8, deposit_unit=0.1)
    mine = participant_name(public_hex(load_or_create(keys / "participant-2.key")))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    outcomes = {hop.outcome for hop in strategy.record.hops if hop.trainer == index}
    assert outcomes == {"unsigned"}
    others = {hop.outcome for hop in strategy.record.hops if hop.trainer != index}
    assert "unsigned" not in others and "accepted" in others
    who = strategy.record.participants[index]
    assert who.rejected > 0 == who.accepted
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem


def test_a_vote_without_its_examiners_signature_does_not_count(keys: Path) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if "values" in said:
            said["values"] = [0.01] * len(said["values"])

    strategy = play(altered(change), keys, examiners=NODES)
    mine = participant_name(public_hex(load_or_create(keys / "participant-2.key")))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    seats = [
        row[block.committee.index(index)]
        for block in strategy.chain
        if isinstance(block, Examined) and index in block.committee
        for row in block.utilities
    ]
    assert seats and set(seats) == {None}
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "11" * 32},
        {"nonce": "no nonce"},
        {"nonce": 7},
        {"signature": "00" * 64},
        {"signature": 1.0},
    ],
)
def test_who_does_not_open_its_nonce_properly_is_left_out(
    keys: Path, wrong: dict[str, Any]
) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if "relay-reveal" in message.content["config"]:
            said.update(wrong)

    verdict = verify(play(altered(change), keys, rounds=6, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.draws_with_nonces == 6 and verdict.nonces_withheld > 0


def test_who_opens_another_nonce_than_it_committed_is_left_out(keys: Path) -> None:
    own = load_or_create(keys / "participant-2.key")

    def change(said: ConfigRecord, message: Message) -> None:
        config = message.content["config"]
        if "relay-reveal" in config:
            opening = Opening(at=at_of(config), nonce="11" * 32)
            said.update({"nonce": opening.nonce, "signature": sign(own, opening)})

    verdict = verify(play(altered(change), keys, rounds=6, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.nonces_withheld > 0


@pytest.mark.parametrize("value", [7e200, -0.1, float("nan"), float("-inf")])
def test_a_signed_value_counts_as_the_ledger_bounds_it(keys: Path, value: float) -> None:
    own = load_or_create(keys / "participant-2.key")

    def change(said: ConfigRecord, message: Message) -> None:
        config = message.content["config"]
        if "values" in said:
            stated = value if abs(value) < float("inf") else None
            votes = [
                Vote(
                    at=at_of(config), model=model, shown=shown, metric="eval_loss", value=stated,
                    error=None, cases=5,
                )
                for model, shown in zip(config["relay-models"], config["relay-shown"], strict=True)
            ]  # fmt: skip
            said["values"] = [value] * len(votes)
            said["signatures"] = [sign(own, vote) for vote in votes]

    strategy = play(altered(change), keys, examiners=NODES)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    mine = participant_name(public_hex(own))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    cast = {
        row[block.committee.index(index)]
        for block in strategy.chain
        if isinstance(block, Examined) and index in block.committee
        for row in block.utilities
    }
    assert cast == {1.0 if value == -0.1 else 0.0}


def at_of(config: ConfigRecord) -> Moment:
    """The moment that a message speaks of."""
    return Moment(
        operator=str(config["relay-operator"]), run=str(config["relay-run"]),
        round=int(config["relay-round"]), head=str(config["relay-head"]),
    )  # fmt: skip


def test_where_nothing_is_tested_no_nonce_is_asked_for(keys: Path) -> None:
    strategy = play(descending(), keys, examiners=0)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.hops_signed > 0 == verdict.draws_with_nonces + verdict.draws_without
    assert not any(block.nonce_hashes for block in strategy.chain if isinstance(block, Commitment))


@pytest.mark.parametrize("told", ["short", "AB" * 32, 5, "x" * 1000])
def test_what_is_no_hash_is_not_committed(keys: Path, told: Any) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        said["nonce-hash"] = told

    verdict = verify(play(altered(change), keys, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem


def test_nobody_takes_a_name_without_its_key(keys: Path) -> None:
    app = descending()
    public = public_hex(load_or_create(keys / "participant-0.key"))

    def impostor(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if context.node_config["partition-id"] == 5:
            reply.content["relay"]["public-key"] = public
        return reply

    strategy = play(impostor, keys, rounds=2)
    names = genesis_of(list(strategy.chain))[0].participants
    assert names.count(participant_name(public)) == 1
    assert [name for name in names if not name.startswith("key:")] == ["partition-id-5"]
    assert verify(strategy.chain).ok


class Crash(BaseException):
    """The process dies here."""


class MortalChain(MemoryChain):
    """Its process dies when the chain has reached a length."""

    length: float

    def append(self, block: Block) -> str:
        if len(self) == self.length:
            raise Crash
        return super().append(block)


@pytest.mark.parametrize("length", range(1, 11))
def test_a_run_in_which_participants_sign_goes_on_after_any_block(keys: Path, length: int) -> None:
    chain, store = MortalChain(OPERATOR), MemoryStore()
    options = {"chain": lambda: chain, "store": lambda: store, "resume": True}
    chain.length = length
    with pytest.raises(Crash):
        play(descending(), keys, **options)
    chain.length = float("inf")
    play(descending(), keys, **options)
    verdict = verify(chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.rounds == 4 and verdict.hops_attested == verdict.votes_attested == 0
    # Who has restarted has forgotten its nonces; that of one round is lost at most.
    assert verdict.draws_with_nonces >= 3 and verdict.nonces_withheld <= 3
