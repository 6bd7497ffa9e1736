"""The operator can neither invent nor alter what a participant who signs has contributed.

Every forgery here is the operator's: it is sealed again with the operator's own key, so that
only the participants' signatures, and the nonces, can give it away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, Message

from flower_relay.mechanism.blocks import (
    Block,
    Commitment,
    Deposit,
    HopClaim,
    NonceHash,
    OpenedNonce,
)
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.rules.outcomes import Fault
from flower_relay.wire.statements import Hop, Moment, Opening, nonce_hash, sign
from tests.signers import (
    INVENTED,
    NODES,
    descending,
    first,
    fixed_keys,
    found_in,
    genesis_of,
    key_of,
    moment_in,
    play,
    sealed,
    verify,
)

# What the operator might forge.


def forged_hop(
    ledger: list[Block], forge: Callable[[HopClaim, Moment], HopClaim], number: int = 0
) -> tuple[int, list[Block]]:
    """The ledger up to a commitment, whose last hop the operator replaces."""
    at = first(Commitment, ledger, number)
    block = ledger[at]
    assert isinstance(block, Commitment)
    claims = block.lanes[0]
    forged = forge(claims[-1], moment_in(ledger, at))
    return at, [*ledger[:at], replace(block, lanes=((*claims[:-1], forged),))]


def is_found_in_its_hop(at: int, blocks: list[Block]) -> bool:
    block = blocks[at]
    assert isinstance(block, Commitment)
    place = len(block.lanes[0]) - 1
    return found_in(blocks) == (at, f"commitment.lanes[0][{place}].signature")


@pytest.mark.parametrize(
    "forge",
    [
        lambda claim, at: replace(claim, model=INVENTED),
        lambda claim, at: replace(claim, signature=None),
        lambda claim, at: replace(claim, model=INVENTED, signature=None),
        lambda claim, at: replace(claim, signature="00" * 64),
        lambda claim, at: replace(claim, signature=str(claim.signature).upper()),
        lambda claim, at: replace(claim, model=None, fault=Fault.TIMEOUT, way=None),
    ],
)
def test_an_invented_hop_is_found(
    ledger: list[Block], forge: Callable[[HopClaim, Moment], HopClaim]
) -> None:
    assert is_found_in_its_hop(*forged_hop(ledger, forge))


def test_a_hop_signed_by_somebody_else_is_found(ledger: list[Block]) -> None:
    stranger = Ed25519PrivateKey.generate()

    def forge(claim: HopClaim, at: Moment) -> HopClaim:
        hop = Hop(at=at, parent=claim.base, model=INVENTED)
        return replace(claim, model=INVENTED, signature=sign(stranger, hop))

    assert is_found_in_its_hop(*forged_hop(ledger, forge))


@pytest.mark.parametrize(
    "change",
    [
        {"round": 1},
        {"run": "0" * 64},
        {"operator": "0" * 64},
        {"head": "0" * 64},
        {"parent": INVENTED},
        {},
    ],
)
def test_a_signature_from_another_round_run_or_base_is_found(
    ledger: list[Block], keys: Path, change: dict[str, Any]
) -> None:
    def forge(claim: HopClaim, at: Moment) -> HopClaim:
        assert claim.model is not None and at.round == 2
        moment = replace(at, **{k: v for k, v in change.items() if k != "parent"})
        hop = Hop(at=moment, parent=change.get("parent", claim.base), model=claim.model)
        return replace(claim, signature=sign(key_of(claim.trainer, ledger, keys), hop))

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
    ("change", "field"),
    [
        ({"utilities": 0.9}, "testing.utilities[0][0]"),
        ({"values": 0.9}, "testing.signatures[0][0]"),
        ({"cases": 7}, "testing.signatures[0][0]"),
        ({"values": 0.9, "signatures": None, "utilities": None}, "testing.values[0][0]"),
    ],
)
def test_a_utility_that_does_not_follow_from_the_signed_value_is_found(
    ledger: list[Block], change: dict[str, Any], field: str
) -> None:
    def forge(block: Examined) -> Examined:
        rows = {name: with_cell(getattr(block, name), value) for name, value in change.items()}
        return replace(block, **rows)

    at, blocks = forged_testing(ledger, forge)
    assert found_in(blocks) == (at, field)


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
        if context.node_config["partition-id"] == 2 and "values" in reply.content["relay"]:
            del reply.content["relay"]["values"], reply.content["relay"]["signatures"]
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
    opening = Opening(at=replace(moment_in(ledger, at), head=head), nonce=nonce.hex())
    own = OpenedNonce(participant=who, nonce=nonce.hex(), signature=sign_opening(who, opening))
    return at + 1, [*ledger[:at], forged, replace(tested, nonces=(own,))]


def test_a_nonce_of_the_operators_own_is_found(ledger: list[Block], keys: Path) -> None:
    stranger = Ed25519PrivateKey.generate()
    at, blocks = swapped_in_both(ledger, lambda who, opening: sign(stranger, opening))
    assert found_in(blocks) == (at, "testing.nonces[0].signature")

    def for_another_block(who: int, opening: Opening) -> str:
        return sign(
            key_of(who, ledger, keys), replace(opening, at=replace(opening.at, head=INVENTED))
        )

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
    denied = replace(last, model=None, fault=Fault.TIMEOUT, signature=None, way=None)
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


def test_a_hash_is_committed_by_none_but_those_who_are_drawn(keys: Path) -> None:
    blocks = list(play(descending(), keys, rounds=1, nonces=1).chain)
    at = first(Commitment, blocks)
    deposit, block = blocks[at - 1 : at + 1]
    assert isinstance(deposit, Deposit) and isinstance(block, Commitment)
    training = {index for terms in deposit.lanes for index in terms.trainers}
    drawn = [item.participant for item in block.nonce_hashes]
    assert len(drawn) == 2  # one is needed, and one may be silent
    for index in sorted(set(deposit.present) - training):
        hashes = (NonceHash(participant=index, hash=INVENTED),)
        forged = [*blocks[:at], replace(block, nonce_hashes=hashes)]
        if index in drawn:
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
        blocks, lambda claim, at: replace(claim, model=None, fault=Fault.UNSIGNED, way=None)
    )
    assert is_found_in_its_hop(at, forged)


def test_the_genesis_block_holds_no_utility_that_its_participant_would_have_signed(
    ledger: list[Block],
) -> None:
    genesis, _ = genesis_of(ledger)
    forged = replace(genesis, utilities=(0.5, *genesis.utilities[1:]))
    assert found_in([forged]) == (0, "genesis.utilities[0]")


def test_a_hop_of_another_run_with_the_same_settings_and_founders_is_found(
    ledger: list[Block], tmp_path: Path
) -> None:
    one, other = (
        list(play(descending(), fixed_keys(folder, NODES)).chain)
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    assert genesis_of(one)[0].participants == genesis_of(other)[0].participants
    at = first(Commitment, one)
    taken, own = one[at], other[at]
    assert isinstance(taken, Commitment) and isinstance(own, Commitment)
    assert found_in([*other[:at], replace(own, lanes=taken.lanes)]) == (
        at, "commitment.lanes[0][0].signature",
    )  # fmt: skip


def test_a_ledger_under_a_key_of_small_order_is_found(ledger: list[Block]) -> None:
    genesis, _ = genesis_of(ledger)
    neutral = (1).to_bytes(32, "little").hex()
    names = (f"key:{neutral}", *genesis.participants[1:])
    assert found_in([replace(genesis, participants=names)]) == (0, "genesis.participants[0]")
    problems = verify([replace(genesis, operator=neutral)]).problems
    assert "genesis.operator" in {problem.field for problem in problems}
