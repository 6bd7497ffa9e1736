"""A receipt proves by itself what its holder was credited, and convicts a rewritten ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flower_relay import LedgerError, RelaySettings
from flower_relay.ledger import OperatorKey, SealedBlock
from flower_relay.ledger.receipts import (
    Receipt,
    check_receipt,
    make_receipt,
    read_receipt,
    write_receipt,
)
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import Block, Settlement
from flower_relay.mechanism.state import State, begin
from tests.forgeries import vote_more
from tests.imagined import KEY, ImaginedRun, sealed

WHO = "partition-id-4"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[OperatorKey, OperatorKey]:
    folder = tmp_path_factory.mktemp("keys")
    return KEY, OperatorKey.create(folder / "other")


@pytest.fixture(scope="module")
def run() -> list[Block]:
    """The first run at the end of which somebody has pay that is locked, and votes were cast."""
    settings = RelaySettings(examiners=4)
    runs = (list(ImaginedRun(settings, participants=9, rounds=12, seed=n)) for n in range(99))
    return next(run for run in runs if _locked(run) and len(vote_more(run)) == len(run))


def _locked(run: list[Block]) -> int:
    state, _ = after_the_last_settlement(run)
    return int(state.who.locked[state.who.names.index(WHO)]) if WHO in state.who.names else 0


@pytest.fixture(scope="module")
def ledger(run: list[Block], keys: tuple[OperatorKey, OperatorKey]) -> list[SealedBlock]:
    return list(sealed(run, keys[0]))


@pytest.fixture(scope="module")
def receipt(ledger: list[SealedBlock], keys: tuple[OperatorKey, OperatorKey]) -> Receipt:
    return make_receipt(ledger, WHO, keys[0])


def after_the_last_settlement(run: list[Block]) -> tuple[State, int]:
    last = max(index for index, block in enumerate(run) if isinstance(block, Settlement))
    state = begin(run[0])  # type: ignore[arg-type]
    for block in run[1 : last + 1]:
        apply(state, block)
    return state, last


def test_a_receipt_states_what_the_ledger_says(
    receipt: Receipt, run: list[Block], ledger: list[SealedBlock]
) -> None:
    state, last = after_the_last_settlement(run)
    index = state.who.names.index(WHO)
    assert (receipt.participant, receipt.round, receipt.position) == (WHO, 12, index)
    assert (receipt.balance, receipt.locked) == (state.who.coins[index], state.who.locked[index])
    assert receipt.locked > 0  # pay that has not vested
    assert receipt.bond == state.who.bond[index]
    assert (receipt.block, receipt.block_hash) == (last, ledger[last].hash)
    assert (receipt.head_block, receipt.head) == (len(ledger) - 1, ledger[-1].hash)


def test_a_receipt_needs_nothing_but_itself(
    receipt: Receipt, keys: tuple[OperatorKey, OperatorKey], tmp_path: Path
) -> None:
    write_receipt(receipt, tmp_path / "mine.json")
    kept = read_receipt(tmp_path / "mine.json")
    assert kept == receipt
    assert check_receipt(kept) is None
    assert check_receipt(kept, trust=keys[0].public) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"balance": 10**12}, "receipt.signature"),
        ({"participant": "partition-id-5"}, "receipt.signature"),
        ({"round": 11}, "receipt.signature"),
        ({"block_hash": "0" * 64}, "receipt.signature"),
        ({"signature": "00" * 64}, "receipt.signature"),
        ({"signature": ""}, "receipt.signature"),
        ({"operator": "00"}, "receipt.signature"),
    ],
)
def test_a_receipt_with_anything_changed_is_none(
    change: dict[str, Any], field: str, receipt: Receipt
) -> None:
    problem = check_receipt(replace(receipt, **change))
    assert problem is not None
    assert problem.field == field


@pytest.mark.parametrize(
    "change", [{"balance": 10**12}, {"bond": 1.5}, {"position": 5}, {"size": 1}, {"proof": ()}]
)
def test_even_the_operator_cannot_sign_what_the_block_does_not_hold(
    change: dict[str, Any], receipt: Receipt, keys: tuple[OperatorKey, OperatorKey]
) -> None:
    lie = replace(receipt, **change)
    signed = replace(lie, signature=keys[0].sign(lie.signed_bytes()))
    problem = check_receipt(signed)
    assert problem is not None
    assert problem.field == "receipt.proof"


def test_a_receipt_of_another_operator_is_not_trusted(
    receipt: Receipt, keys: tuple[OperatorKey, OperatorKey]
) -> None:
    problem = check_receipt(receipt, trust=keys[1].public)
    assert problem is not None
    assert (problem.field, problem.expected) == ("receipt.operator", keys[1].public)


def test_a_ledger_that_goes_on_still_holds_the_receipts_blocks(
    ledger: list[SealedBlock], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    earlier = make_receipt(ledger[:30], WHO, keys[0])
    assert check_receipt(earlier, blocks=ledger) is None


def test_a_rewritten_ledger_is_found_by_an_earlier_receipt(
    receipt: Receipt, run: list[Block], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    rewritten = list(sealed(vote_more(run), keys[0]))
    problem = check_receipt(receipt, blocks=rewritten)
    assert problem is not None
    assert (problem.block, problem.field) == (receipt.block, "seal.hash")
    assert problem.expected == receipt.block_hash


def test_a_ledger_cut_back_or_of_another_run_is_found(
    receipt: Receipt, ledger: list[SealedBlock], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    cut = check_receipt(receipt, blocks=ledger[: receipt.block + 1])
    assert cut is not None
    assert cut.field == f"block {receipt.head_block}"
    other = ImaginedRun(RelaySettings(), participants=9, rounds=12, seed=6)
    stranger = check_receipt(receipt, blocks=sealed(other, keys[0]))
    assert stranger is not None
    assert stranger.block == 0


def test_a_block_changed_under_its_old_hash_is_found(
    receipt: Receipt, ledger: list[SealedBlock]
) -> None:
    forged = list(ledger)
    forged[3] = replace(forged[3], body=forged[3].body.replace("1", "2"))
    problem = check_receipt(receipt, blocks=forged)
    assert problem is not None
    assert (problem.block, problem.field) == (3, "seal.hash")


def test_what_cannot_be_attested_is_refused_with_the_reason(
    ledger: list[SealedBlock], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    own, other = keys
    for blocks, name, key, said in (
        (ledger[:2], WHO, own, "no round is settled yet"),
        (ledger[:0], WHO, own, "begins with a genesis block"),
        (ledger, "nobody", own, "nobody is called nobody .* there are: partition-id-0, "),
        (ledger, WHO, other, f"signed by {own.public} and this is the key of {other.public}"),
    ):
        with pytest.raises(LedgerError, match=said):
            make_receipt(blocks, name, key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"balance": "much"}, "receipt.balance: expected a whole number, found 'much'"),
        ({"extra": 1}, "receipt.extra: expected no such field"),
        ({"proof": ["xyz"]}, "receipt.proof: expected hashes in hex"),
        ({"proof": [1]}, r"receipt.proof\[0\]: expected a text"),
    ],
)
def test_a_file_that_is_no_receipt_says_why(
    change: dict[str, Any], said: str, receipt: Receipt, tmp_path: Path
) -> None:
    path = tmp_path / "receipt.json"
    write_receipt(receipt, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(LedgerError, match=said):
        read_receipt(path)


def test_a_file_that_is_missing_or_no_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read: No such file"):
        read_receipt(tmp_path / "none.json")
    (tmp_path / "half.json").write_bytes(b'{"run": "\xff')
    with pytest.raises(LedgerError, match="is not JSON"):
        read_receipt(tmp_path / "half.json")
