"""A ledger that followed the rules verifies; whatever did not is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flower_relay import RelaySettings
from flower_relay.ledger import SealedBlock, read_sealed
from flower_relay.ledger.receipts import make_receipt
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism.blocks import Block, Genesis
from tests.forgeries import forgeries, small_run, vote_more
from tests.imagined import KEY, ImaginedRun, sealed
from tests.ledgers import OTHER_KEY

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def run() -> list[Block]:
    """Forty rounds in which legs fail, models are planted and somebody joins."""
    settings = RelaySettings(max_leg=4, examiners=6, planted=0.3, deposit_unit=0.0)
    return list(ImaginedRun(settings, participants=12, rounds=40, seed=3))


# What followed the rules.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lanes": 3},
        {"lanes": 3, "lanes_meet": "average"},
        {"lanes": 3, "lanes_meet": "adam"},
        {"lanes": "auto"},
        {"lanes": "wave", "tolerance": 0.3},
        {"topology": "fan-out", "rewards": "royalty"},
        {"examiners": 0},
        {"budget": 50},
        {"rewards": "royalty", "trail": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("participants", [2, 11])
def test_a_run_that_followed_the_rules_verifies(options: dict[str, Any], participants: int) -> None:
    settings = RelaySettings(**options)
    played = ImaginedRun(settings, participants=participants, rounds=40, seed=participants)
    ledger = list(sealed(played, KEY))
    verdict = verify_run(ledger, trust=KEY.public)
    assert verdict.problems == ()
    assert verdict.blocks == verdict.signatures == len(ledger)
    assert verdict.head == ledger[-1].hash
    assert verdict.producers == (KEY.public,)
    assert verdict.ended_in == "publication"
    assert verdict.hops_attested == played.progress.hops
    assert verdict.rounds == played.progress.state.round


def test_a_run_may_have_been_cut_off_after_any_block(run: list[Block]) -> None:
    ledger = list(sealed(run, KEY))
    for length in range(1, len(ledger), 7):
        verdict = verify_run(ledger[:length])
        assert verdict.ok
        assert verdict.ended_in == type(run[length - 1]).__name__.lower()


# Seals.


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("index", "seal.index"),
        ("previous", "seal.previous"),
        ("body", "seal.hash"),
        ("hash", "seal.hash"),
        ("producer", "seal.producer"),
        ("signature", "seal.signature"),
    ],
)
def test_a_change_of_a_stored_column_is_named(column: str, field: str, run: list[Block]) -> None:
    ledger = list(sealed(run, KEY))
    value = getattr(ledger[5], column)
    other = 8 if column == "index" else ("1" if value[0] == "0" else "0") + value[1:]
    ledger[5] = replace(ledger[5], **{column: other})
    problem = verify_run(ledger).first_problem
    assert problem is not None
    assert (problem.block, problem.kind, problem.field) == (5, "seal", field)


def test_hex_in_upper_case_is_another_spelling(run: list[Block]) -> None:
    for column in ("producer", "signature"):
        [first, *rest] = sealed(run[:2], KEY)
        upper = replace(first, **{column: getattr(first, column).upper()})
        assert not verify_run([upper, *rest]).ok
        assert not verify_run([upper]).ok


def test_a_body_has_one_spelling(run: list[Block]) -> None:
    [first, *_] = sealed(run, KEY)
    for text in (first.body.replace(":", ": ", 1), "[" * 10**5, '{"kind":1e999}', ""):
        digest = sha256((first.previous + text).encode()).hexdigest()
        signature = KEY.sign(bytes.fromhex(digest))
        spelled = replace(first, body=text, hash=digest, signature=signature)
        verdict = verify_run([spelled])
        assert verdict.first_problem is not None
        assert verdict.first_problem.block == 0


def test_no_blocks_are_no_ledger() -> None:
    problem = verify_run([]).first_problem
    assert problem is not None
    assert problem.expected == "a genesis block"


def test_another_key_half_way_is_reported_with_its_block(run: list[Block]) -> None:
    mixed = [*list(sealed(run, KEY))[:20], *list(sealed(run, OTHER_KEY))[20:]]
    verdict = verify_run(mixed)
    assert [(p.block, p.field, p.found) for p in verdict.problems] == [
        (20, "seal.producer", OTHER_KEY.public)
    ]
    assert verdict.producers == (KEY.public, OTHER_KEY.public)
    assert verdict.blocks == len(run)  # it is no reason to stop


def test_a_run_written_anew_by_the_rules_is_found_by_key_receipt_or_head_and_by_nothing_else(
    tmp_path: Path,
) -> None:
    own = small_run(tmp_path / "run")
    found = forgeries(list(read_sealed(tmp_path / "run")), own, OTHER_KEY)
    assert [what for what, right in found.items() if not right] == []


def test_a_key_alone_does_not_say_whether_the_run_was_written_anew(run: list[Block]) -> None:
    resigned = list(sealed(run, OTHER_KEY))
    assert "Either they were signed again" in verify_run(resigned, trust=KEY.public).note
    receipt = make_receipt(sealed(run, KEY), "partition-id-0", KEY)
    told = verify_run(resigned, trust=KEY.public, receipt=receipt)
    assert "only signed again" in told.note
    assert not told.ok
    rewritten = verify_run(sealed(vote_more(run), KEY), receipt=receipt)
    assert rewritten.note == ""
    assert rewritten.first_problem is not None
    assert "as the receipt attests" in rewritten.first_problem.expected


def test_a_ledger_cut_back_behind_a_receipt_or_head_is_found(run: list[Block]) -> None:
    ledger: list[SealedBlock] = list(sealed(run, KEY))
    receipt = make_receipt(ledger, "partition-id-0", KEY)
    shorter = ledger[: receipt.block]
    assert verify_run(shorter).ok
    fields = [p.field for p in verify_run(shorter, receipt=receipt).problems]
    assert fields == [f"block {receipt.block}", f"block {receipt.head_block}"]
    assert [p.kind for p in verify_run(shorter, head=ledger[-1].hash).problems] == ["head"]


def test_hops_beyond_the_budget_are_found() -> None:
    # Untested hops, one a round: four blocks each after genesis.
    settings = RelaySettings(budget=9, max_leg=1, examiners=0)
    played = list(ImaginedRun(settings, participants=6, rounds=9, seed=0))
    genesis = played[0]
    assert isinstance(genesis, Genesis)
    spent = replace(genesis, settings={**genesis.settings, "budget": 3})
    problem = verify_run(sealed([spent, *played[1:]], KEY)).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (1 + 3 * 4, "kind")
    assert "the budget of 3" in problem.expected
