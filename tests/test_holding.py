"""Changed ledgers that hold: only what is the operator's own word, and never what is signed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flower_relay.mechanism.blocks import Block, Publication
from flower_relay.mechanism.blocks import Testing as Examined
from tests.holding import UNEXPLAINED, why
from tests.mutants import faults_of_verify, mutants
from tests.signers import NODES, OPERATOR, descending, first, fixed_keys, found_in, play, sealed

MUTANTS = 250


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The bodies of a ledger whose participants all sign."""
    keys = fixed_keys(tmp_path_factory.mktemp("keys") / "keys", NODES)
    chain = play(descending(), keys, rounds=3, run_id="90" * 32).chain
    return [block.body for block in sealed(chain)]


@pytest.mark.parametrize("seed", [1, 2])
def test_where_all_sign_no_ledger_holds_that_says_something_else(
    signed: list[str], seed: int
) -> None:
    held = set()
    for _, blocks in mutants(signed, OPERATOR, seed, MUTANTS):
        outcome, fault = faults_of_verify(blocks, None)
        assert not fault
        if outcome == "holds":
            held.add(why(signed, [block.body for block in blocks], signed=True))
    assert held <= {"nothing was changed", "it ends sooner: nothing of it was changed"}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    """A ledger of participants who do not sign."""
    return list(play(descending(()), tmp_path_factory.mktemp("keys"), run_id="90" * 32).chain)


@pytest.mark.parametrize("name", ["x", "", "A" * 64, "../../etc/passwd", "0" * 63])
def test_what_names_a_model_is_a_hash_wherever_it_stands(ledger: list[Block], name: str) -> None:
    at = first(Publication, ledger)
    block = ledger[at]
    assert isinstance(block, Publication)
    trails = (*block.trails[:-1], name)
    forged = replace(block, trails=trails, champion=name)
    where, field = found_in([*ledger[:at], forged])
    assert where == at and field.startswith("publication.trails")
    tested = next(b for b in ledger if isinstance(b, Examined) and b.probes)
    at = ledger.index(tested)
    other = {tested.probes[0]: name}
    models = tuple(other.get(model, model) for model in tested.models)
    probes = tuple(other.get(model, model) for model in tested.probes)
    where, field = found_in([*ledger[:at], replace(tested, models=models, probes=probes)])
    assert where == at


def test_what_was_changed_is_told_from_what_was_not() -> None:
    true = [json.dumps({"kind": "deposit", "present": [0, 1], "unit": 3}), '{"kind":"x"}']
    fewer = json.dumps({"kind": "deposit", "present": [0], "unit": 3})
    other = json.dumps({"kind": "deposit", "present": [0, 1], "unit": 4})
    assert why(true, true) == "nothing was changed"
    assert why(true, true[:1]) == "it ends sooner: nothing of it was changed"
    assert why(true, [fewer, true[1]]) == "who was there: the operator's word"
    assert why(true, [other, true[1]]) == f"{UNEXPLAINED}: deposit.unit"
    assert UNEXPLAINED in why(true, [*true, true[1]])


def test_a_vote_that_holds_though_it_was_changed_is_unexplained_where_votes_are_signed() -> None:
    true, other = ([json.dumps({"kind": "testing", "utilities": [[n]]})] for n in (0.1, 0.2))
    assert why(true, other) == "a vote that nobody signed"
    assert UNEXPLAINED in why(true, other, signed=True)
