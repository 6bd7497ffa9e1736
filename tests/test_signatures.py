"""The operator can neither invent nor alter what a participant who signs has contributed.

Every forgery here is the operator's: it is sealed again with the operator's own key, so that
only the participants' signatures, and the nonces, can give it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.blocks import (
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    NonceHash,
    OpenedNonce,
)
from flower_relay.blocks import Testing as Examined  # pytest would take it for a test
from flower_relay.chain import MemoryChain, block_hash
from flower_relay.decisions import decide_tests
from flower_relay.ledger.keys import OperatorKey
from flower_relay.ledger.sealed import NOTHING_BEFORE, SealedBlock, seal
from flower_relay.ledger.verify import Verdict, verify_run
from flower_relay.mods import relay_mod
from flower_relay.participant_keys import load_or_create
from flower_relay.state import apply, begin
from flower_relay.statements import (
    Hop,
    Opening,
    Vote,
    nonce_hash,
    participant_name,
    public_hex,
    sign,
)
from flower_relay.store import MemoryStore, canonical_bytes, model_name

App = Callable[[Message, Context], Message]
OPERATOR = OperatorKey(Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
NODES = 7
OPTIONS: dict[str, Any] = {"seed": 3, "examiners": 4, "max_leg": 2, "deposit_unit": 0.0}


def weights(message: Message) -> np.ndarray:
    return message.content["arrays"]["w"].numpy()


def descending(mods: Sequence[Any] = (relay_mod,)) -> ClientApp:
    """Training goes a fifth of the way to 1; the loss is the squared distance from it."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        w = weights(message)
        trained = w + (1 - w) * (0.2 + 0.01 * int(context.node_config["partition-id"]))
        content = RecordDict({"arrays": ArrayRecord({"w": Array(trained)})})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        loss = float(np.mean((1 - weights(message)) ** 2)) + number / 100
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5, "partition-id": number})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def play(app: App, keys: Path, *, rounds: int = 4, **options: Any) -> RelayStrategy:
    grid = InMemoryGrid(app, NODES, run_config={"relay-keys-dir": str(keys)})
    strategy = RelayStrategy(**OPTIONS | options)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=rounds, timeout=20)
    return strategy


def sealed(blocks: Iterable[Block]) -> list[SealedBlock]:
    found: list[SealedBlock] = []
    previous = NOTHING_BEFORE
    for index, block in enumerate(blocks):
        found.append(seal(index, previous, block, OPERATOR))
        previous = found[-1].hash
    return found


def verify(blocks: Iterable[Block]) -> Verdict:
    return verify_run(sealed(blocks))


def found_in(blocks: Iterable[Block]) -> tuple[int | None, str]:
    problem = verify(blocks).first_problem
    assert problem is not None
    return problem.block, problem.field


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def ledger(keys: Path) -> list[Block]:
    return list(play(descending(), keys).chain)


def first(kind: type[Block], blocks: Sequence[Block], number: int = 0) -> int:
    return [index for index, block in enumerate(blocks) if isinstance(block, kind)][number]


def genesis_of(blocks: Sequence[Block]) -> tuple[Genesis, str]:
    genesis = blocks[0]
    assert isinstance(genesis, Genesis)
    return genesis, block_hash(NOTHING_BEFORE, genesis)


def key_of(participant: int, ledger: Sequence[Block], keys: Path) -> Ed25519PrivateKey:
    """The participant's own key, which the operator does not have."""
    name = genesis_of(ledger)[0].participants[participant]
    held = [load_or_create(path) for path in keys.glob("*.key")]
    return next(key for key in held if participant_name(public_hex(key)) == name)


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
    assert [len(nonces) for nonces in openings] == [3, 3, 3, 3]
    assert len({item.nonce for nonces in openings for item in nonces}) == 12


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


def test_with_stable_keys_and_no_nonces_a_run_repeats_byte_for_byte(keys: Path) -> None:
    runs = [play(descending(), keys, nonces=0) for _ in range(2)]
    assert runs[0].chain.head == runs[1].chain.head
    verdict = verify(runs[0].chain)
    assert verdict.ok and verdict.draws_without == 4 and verdict.hops_attested == 0


# What the operator might forge.


def forged_hop(
    ledger: list[Block], forge: Callable[[HopClaim, str, int], HopClaim], number: int = 0
) -> tuple[int, list[Block]]:
    """The ledger up to a commitment, whose last hop the operator replaces."""
    at = first(Commitment, ledger, number)
    block = ledger[at]
    assert isinstance(block, Commitment)
    claims = block.lanes[0]
    forged = forge(claims[-1], genesis_of(ledger)[1], block.round)
    return at, [*ledger[:at], replace(block, lanes=((*claims[:-1], forged),))]


def is_found_in_its_hop(at: int, blocks: list[Block]) -> bool:
    block = blocks[at]
    assert isinstance(block, Commitment)
    place = len(block.lanes[0]) - 1
    return found_in(blocks) == (at, f"commitment.lanes[0][{place}].signature")


INVENTED = "5e" * 32


@pytest.mark.parametrize(
    "forge",
    [
        lambda claim, run, round: replace(claim, model=INVENTED),
        lambda claim, run, round: replace(claim, signature=None),
        lambda claim, run, round: replace(claim, model=INVENTED, signature=None),
        lambda claim, run, round: replace(claim, signature="00" * 64),
        lambda claim, run, round: replace(claim, signature=str(claim.signature).upper()),
        lambda claim, run, round: replace(claim, model=None, fault="timeout"),
    ],
)
def test_an_invented_hop_is_found(
    ledger: list[Block], forge: Callable[[HopClaim, str, int], HopClaim]
) -> None:
    assert is_found_in_its_hop(*forged_hop(ledger, forge))


def test_a_hop_signed_by_somebody_else_is_found(ledger: list[Block]) -> None:
    stranger = Ed25519PrivateKey.generate()

    def forge(claim: HopClaim, run: str, round: int) -> HopClaim:
        hop = Hop(run=run, round=round, parent=claim.base, model=INVENTED)
        return replace(claim, model=INVENTED, signature=sign(stranger, hop))

    assert is_found_in_its_hop(*forged_hop(ledger, forge))


@pytest.mark.parametrize("change", [{"round": 1}, {"run": "0" * 64}, {"parent": INVENTED}, {}])
def test_a_signature_from_another_round_run_or_base_is_found(
    ledger: list[Block], keys: Path, change: dict[str, Any]
) -> None:
    def forge(claim: HopClaim, run: str, round: int) -> HopClaim:
        assert claim.model is not None and round == 2
        hop = Hop(run=run, round=round, parent=claim.base, model=claim.model)
        own = key_of(claim.trainer, ledger, keys)
        return replace(claim, signature=sign(own, replace(hop, **change)))

    at, blocks = forged_hop(ledger, forge, number=1)
    if change:
        assert is_found_in_its_hop(at, blocks)
    else:  # nothing was changed: Ed25519 gives the same signature again
        assert blocks == ledger[: at + 1] and verify(blocks).ok


def forged_testing(
    ledger: list[Block], forge: Callable[[Examined], Examined]
) -> tuple[int, list[Block]]:
    at = first(Examined, ledger)
    block = ledger[at]
    assert isinstance(block, Examined)
    return at, [*ledger[:at], forge(block)]


def with_cell(rows: tuple[tuple[Any, ...], ...], value: Any) -> tuple[tuple[Any, ...], ...]:
    return ((value, *rows[0][1:]), *rows[1:])


@pytest.mark.parametrize(
    "forge",
    [
        lambda block: replace(block, utilities=with_cell(block.utilities, 0.9)),
        lambda block: replace(block, utilities=with_cell(block.utilities, None)),
        lambda block: replace(block, signatures=with_cell(block.signatures, None)),
        lambda block: replace(
            block, signatures=with_cell(block.signatures, block.signatures[0][1])
        ),
        lambda block: replace(
            block, signatures=with_cell(block.signatures, block.signatures[1][0])
        ),
        lambda block: replace(block, signatures=()),
    ],
)
def test_a_vote_changed_dropped_or_exchanged_is_found(
    ledger: list[Block], forge: Callable[[Examined], Examined]
) -> None:
    at, blocks = forged_testing(ledger, forge)
    assert found_in(blocks) == (at, "testing.signatures[0][0]")


@pytest.mark.parametrize(
    ("forge", "field"),
    [
        (lambda rows: rows[1:], "testing.signatures"),
        (lambda rows: (rows[0][1:], *rows[1:]), "testing.signatures[0]"),
        (lambda rows: tuple((None,) * len(row) for row in rows), "testing.signatures"),
    ],
)
def test_signatures_have_the_shape_of_the_votes(
    ledger: list[Block], forge: Callable[[Any], Any], field: str
) -> None:
    at, blocks = forged_testing(
        ledger, lambda block: replace(block, signatures=forge(block.signatures))
    )
    assert found_in(blocks) == (at, field)


def test_a_vote_for_an_examiner_who_gave_none_is_found(keys: Path) -> None:
    deaf = descending()

    def app(message: Message, context: Context) -> Message:
        reply = deaf(message, context)
        if context.node_config["partition-id"] == 2 and "utility" in reply.content["relay"]:
            del reply.content["relay"]["utility"], reply.content["relay"]["signature"]
        return reply

    blocks = list(play(app, keys, rounds=2, examiners=NODES).chain)
    at, row, column = next(
        (at, row, column)
        for at, block in enumerate(blocks)
        if isinstance(block, Examined)
        for row, values in enumerate(block.utilities)
        for column, value in enumerate(values)
        if value is None
    )
    tested = blocks[at]
    assert isinstance(tested, Examined) and verify(blocks).ok
    rows = [list(values) for values in tested.utilities]
    rows[row][column] = 0.9
    forged = replace(tested, utilities=tuple(map(tuple, rows)))
    expected = (at, f"testing.signatures[{row}][{column}]")
    assert found_in([*blocks[:at], forged]) == expected


def test_a_swapped_nonce_is_found(ledger: list[Block]) -> None:
    def forge(block: Examined) -> Examined:
        return replace(block, nonces=(replace(block.nonces[0], nonce="77" * 32), *block.nonces[1:]))

    at, blocks = forged_testing(ledger, forge)
    assert found_in(blocks) == (at, "testing.nonces[0].nonce")


def swapped_in_both(
    ledger: list[Block], sign_opening: Callable[[int, Opening], str]
) -> tuple[int, list[Block]]:
    """The operator puts a nonce of its own in place of a participant's, hash and opening."""
    at = first(Commitment, ledger)
    committed, tested = ledger[at], ledger[at + 1]
    assert isinstance(committed, Commitment) and isinstance(tested, Examined)
    who, nonce = committed.nonce_hashes[0].participant, b"\7" * 32
    hashes = (NonceHash(participant=who, hash=nonce_hash(nonce)), *committed.nonce_hashes[1:])
    forged = replace(committed, nonce_hashes=hashes)
    head = sealed([*ledger[:at], forged])[-1].hash
    opening = Opening(run=genesis_of(ledger)[1], commitment=head, nonce=nonce.hex())
    own = OpenedNonce(participant=who, nonce=nonce.hex(), signature=sign_opening(who, opening))
    return at + 1, [*ledger[:at], forged, replace(tested, nonces=(own,))]


def test_a_nonce_of_the_operators_own_is_found(ledger: list[Block], keys: Path) -> None:
    stranger = Ed25519PrivateKey.generate()
    at, blocks = swapped_in_both(ledger, lambda who, opening: sign(stranger, opening))
    assert found_in(blocks) == (at, "testing.nonces[0].signature")

    def for_another_block(who: int, opening: Opening) -> str:
        return sign(key_of(who, ledger, keys), replace(opening, commitment=INVENTED))

    at, blocks = swapped_in_both(ledger, for_another_block)
    assert found_in(blocks) == (at, "testing.nonces[0].signature")
    _, blocks = swapped_in_both(
        ledger, lambda who, opening: sign(key_of(who, ledger, keys), opening)
    )
    problem = verify(blocks).first_problem  # the draw is another, unless by chance the same
    assert problem is None or not problem.field.startswith("testing.nonces")


def test_a_commitment_cannot_be_exchanged_once_a_nonce_is_opened_for_it(
    ledger: list[Block],
) -> None:
    at = first(Commitment, ledger)
    block = ledger[at]
    assert isinstance(block, Commitment)
    last = block.lanes[0][-1]
    denied = replace(last, model=None, fault="timeout", signature=None)
    forged = replace(block, lanes=((*block.lanes[0][:-1], denied),))
    problem = found_in([*ledger[:at], forged, *ledger[at + 1 :]])
    assert problem == (at + 1, "testing.nonces[0].signature")


@pytest.mark.parametrize(
    "forge",
    [
        lambda hashes: hashes[::-1],
        lambda hashes: (*hashes, hashes[-1]),
        lambda hashes: (*hashes[:2], replace(hashes[2], participant=NODES)),
        lambda hashes: (replace(hashes[0], participant=-1), *hashes[1:]),
    ],
)
def test_nonces_are_committed_by_those_who_may(
    ledger: list[Block], forge: Callable[[Any], Any]
) -> None:
    at = first(Commitment, ledger)
    block = ledger[at]
    assert isinstance(block, Commitment)
    forged = replace(block, nonce_hashes=forge(block.nonce_hashes))
    assert found_in([*ledger[:at], forged]) == (at, "commitment.nonce_hashes")


def test_a_nonces_hash_is_a_hash(ledger: list[Block]) -> None:
    at = first(Commitment, ledger)
    block = ledger[at]
    assert isinstance(block, Commitment)
    hashes = (replace(block.nonce_hashes[0], hash="none"), *block.nonce_hashes[1:])
    forged = replace(block, nonce_hashes=hashes)
    assert found_in([*ledger[:at], forged]) == (at, "commitment.nonce_hashes[0].hash")


def test_no_more_nonces_are_committed_than_the_settings_say(keys: Path) -> None:
    blocks = list(play(descending(), keys, rounds=1, nonces=1).chain)
    at = first(Commitment, blocks)
    deposit, block = blocks[at - 1 : at + 1]
    assert isinstance(deposit, Deposit) and isinstance(block, Commitment)
    training = {index for terms in deposit.lanes for index in terms.trainers}
    hashes = [NonceHash(participant=n, hash=INVENTED) for n in deposit.present if n not in training]
    assert len(block.nonce_hashes) == 1
    for number in (1, 2):
        forged = [*blocks[:at], replace(block, nonce_hashes=tuple(hashes[:number]))]
        if number == 1:
            assert verify(forged).ok
        else:
            assert found_in(forged) == (at, "commitment.nonce_hashes")


@pytest.mark.parametrize(
    "forge",
    [
        lambda nonces: nonces[::-1],
        lambda nonces: (*nonces, nonces[-1]),
        lambda nonces: (*nonces[:2], replace(nonces[2], participant=NODES)),
    ],
)
def test_only_nonces_that_were_committed_are_opened(
    ledger: list[Block], forge: Callable[[Any], Any]
) -> None:
    at, blocks = forged_testing(ledger, lambda block: replace(block, nonces=forge(block.nonces)))
    assert found_in(blocks) == (at, "testing.nonces")


def test_only_who_signs_can_be_blamed_for_not_signing(keys: Path) -> None:
    blocks = list(play(descending(()), keys, rounds=1).chain)
    at, forged = forged_hop(
        blocks, lambda claim, run, round: replace(claim, model=None, fault="unsigned")
    )
    assert is_found_in_its_hop(at, forged)


def test_the_genesis_block_holds_no_utility_that_its_participant_would_have_signed(
    ledger: list[Block],
) -> None:
    genesis, _ = genesis_of(ledger)
    forged = replace(genesis, utilities=(0.5, *genesis.utilities[1:]))
    assert found_in([forged]) == (0, "genesis.utilities[0]")


def test_the_votes_of_a_leg_tested_again_are_those_of_its_first_test(keys: Path) -> None:
    at, blocks, again = leg_tested_again(spoiling(relay_mod), keys)
    verdict = verify(blocks)
    assert verdict.ok and verdict.votes_attested == 0, verdict.first_problem
    rows = [list(row) for row in again.signatures]
    row = next(place for place, cells in enumerate(rows) if any(cells))
    column = next(place for place, cell in enumerate(rows[row]) if cell)
    rows[row][column] = None
    forged = replace(again, signatures=tuple(map(tuple, rows)))
    expected = (at, f"testing.signatures[{row}][{column}]")
    assert found_in([*blocks[:at], forged]) == expected


def test_nobody_gets_a_vote_that_it_had_not_cast_when_a_leg_is_tested_again(keys: Path) -> None:
    spoilt = spoiling(lambda message, context, call_next: call_next(message, context))

    def app(message: Message, context: Context) -> Message:
        reply = spoilt(message, context)
        if context.node_config["partition-id"] == 2 and "metrics" in reply.content:
            del reply.content["metrics"]["eval_loss"]
        return reply

    at, blocks, again = leg_tested_again(app, keys, examiners=NODES, silent=True)
    assert verify(blocks).ok
    column = again.utilities[0].index(None)
    row = (*again.utilities[0][:column], 0.9, *again.utilities[0][column + 1 :])
    forged = replace(again, utilities=(row, *again.utilities[1:]))
    assert found_in([*blocks[:at], forged]) == (at, f"testing.utilities[0][{column}]")


def leg_tested_again(
    app: App, keys: Path, *, silent: bool = False, **options: Any
) -> tuple[int, list[Block], Examined]:
    """A run in which a failed leg was tested as a whole, and that second test."""
    for seed in range(30):
        blocks = list(play(app, keys, rounds=6, seed=seed, **options).chain)
        for at, (before, block) in enumerate(pairwise(blocks), start=1):
            again = isinstance(before, Examined) and isinstance(block, Examined)
            if again and not (silent and None not in block.utilities[0]):
                return at, blocks, block
    raise AssertionError("no leg failed")


def spoiling(mod: Callable[[Message, Context, App], Message]) -> App:
    """Every third node hands on a model that is far off, and signs it."""
    train = descending(())

    def spoilt(message: Message, context: Context) -> Message:
        def training(inner: Message, _: Context) -> Message:
            reply = train(inner, context)
            if context.node_config["partition-id"] % 3 == 0 and "arrays" in reply.content:
                off = reply.content["arrays"]["w"].numpy() - 3.0
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
        if "utility" in said:
            said["utility"] = 0.99

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
            opening = Opening(
                run=config["relay-run"], commitment=config["relay-commitment"], nonce="11" * 32
            )
            said.update({"nonce": opening.nonce, "signature": sign(own, opening)})

    verdict = verify(play(altered(change), keys, rounds=6, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.nonces_withheld > 0


@pytest.mark.parametrize("utility", [7.0, -0.1])
def test_a_signed_utility_beyond_its_bounds_does_not_count(keys: Path, utility: float) -> None:
    own = load_or_create(keys / "participant-2.key")

    def change(said: ConfigRecord, message: Message) -> None:
        if "utility" in said:
            run = message.content["config"]["relay-run"]
            model = model_name(canonical_bytes({"w": weights(message)}))
            vote = Vote(run=run, model=model, utility=utility)
            said.update({"utility": utility, "signature": sign(own, vote)})

    verdict = verify(play(altered(change), keys, examiners=NODES).chain)
    assert verdict.ok, verdict.first_problem


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
    chain, store = MortalChain(), MemoryStore()
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
