"""What one participant was shown convicts an operator whose ledger says something else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flower_relay import LedgerError
from flower_relay.cli import app
from flower_relay.ledger import SealedBlock, open_ledger
from flower_relay.ledger.forks import proof_in, write_proof
from flower_relay.ledger.heads import ShownHead, heads_in
from flower_relay.ledger.shown import Shown, against
from flower_relay.mechanism.blocks import Block, Publication
from tests.ledgers import OTHER_KEY
from tests.signers import NODES, OPERATOR, descending, fixed_keys, play, sealed


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Block], Path]:
    """A run, and the keys of its participants with their memories beside."""
    keys = fixed_keys(tmp_path_factory.mktemp("keys") / "keys", NODES)
    return list(play(descending(), keys, rounds=4, run_id="90" * 32).chain), keys


@pytest.fixture(scope="module")
def shown(played: tuple[list[Block], Path]) -> tuple[ShownHead, ...]:
    return heads_in(played[1] / "participant-3.memory")


def rewritten(blocks: list[Block], at: int = -1) -> list[SealedBlock]:
    """The run with another publication, sealed again from there on by its operator."""
    places = [i for i, block in enumerate(blocks) if isinstance(block, Publication)]
    block = blocks[places[at]]
    assert isinstance(block, Publication)
    changed = replace(block, champion="5e" * 32)
    return sealed([*blocks[: places[at]], changed, *blocks[places[at] + 1 :]])


def test_a_ledger_that_is_the_one_that_was_shown_is_no_proof(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...]
) -> None:
    found = against(shown, sealed(played[0]))
    assert (found.proof, found.beyond) == (None, 0) and found.agree > 1
    assert found.told == f"{found.agree} of the heads that were shown are blocks of this ledger"


def test_a_ledger_that_ends_sooner_is_no_proof_and_it_is_said(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...]
) -> None:
    found = against(shown, sealed(played[0][:3]))
    assert found.proof is None and found.beyond > 0
    assert f"and {found.beyond} are of later blocks than it has" in found.told


def test_a_ledger_that_says_something_else_convicts_its_operator(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...], tmp_path: Path
) -> None:
    found = against(shown, rewritten(played[0], 0))
    assert found.proof is not None
    proved = found.proof.proves()
    assert proved is not None and "showed one ledger" in proved and OPERATOR.public in proved
    write_proof(found.proof, tmp_path / "proof.json")
    assert proof_in(tmp_path / "proof.json").proves() == proved


@pytest.mark.parametrize(
    "change",
    [
        {"links": ()},
        {"links": ("5e" * 32,)},
        {"links": ("x",)},
        {"genesis": "{}"},
        {"genesis": "\ud800"},
        {"signature": "00" * 64},
        {"signature": "x"},
        {"head": {"head": "5e" * 32}},
        {"head": {"height": 1}},
        {"head": {"run": "5e" * 32}},
        {"head": {"operator": "5e" * 32}},
    ],
)
def test_a_proof_that_was_changed_proves_nothing(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...], change: dict[str, Any]
) -> None:
    proof = against(shown, rewritten(played[0], 0)).proof
    assert proof is not None
    if isinstance(change.get("head"), dict):
        change = {"head": replace(proof.head, **change["head"])}
    assert replace(proof, **change).proves() is None


def test_the_block_that_was_shown_is_no_proof_against_itself(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...]
) -> None:
    true = sealed(played[0])
    head = next(each for each in shown if each.height > 1)
    links = [hashlib.sha256(block.body.encode()).hexdigest() for block in true[: head.height]]
    honest = Shown(
        head=head, genesis=true[0].body, links=tuple(links),
        signature=true[head.height - 1].signature,
    )  # fmt: skip
    assert honest.proves() is None


def by_another(block: SealedBlock) -> SealedBlock:
    """The same block under another key."""
    signature = OTHER_KEY.sign(bytes.fromhex(block.hash))
    return replace(block, producer=OTHER_KEY.public, signature=signature)


def test_another_run_or_another_operator_is_not_held_against_what_was_shown(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...], tmp_path: Path
) -> None:
    keys = fixed_keys(tmp_path / "keys", NODES)
    other = play(descending(), keys, rounds=2, run_id="91" * 32).chain
    assert "another run or operator" in against(shown, sealed(other)).told
    assert (
        against(shown, []).told
        == "the ledger is of another run or operator than all that was shown"
    )
    blocks = rewritten(played[0], 0)
    foreign = [by_another(each) for each in blocks]
    assert "another run or operator" in against(shown, foreign).told
    found = against(shown, [blocks[0], *foreign[1:]])
    assert found.proof is None and found.unproved is not None and "another key" in found.told


def test_the_command_compares_heads_and_a_run_either_way(
    played: tuple[list[Block], Path], tmp_path: Path
) -> None:
    memory = str(played[1] / "participant-3.memory")
    for name, blocks in (("same", played[0]), ("other", [*played[0]])):
        (tmp_path / name).mkdir()
        with open_ledger(tmp_path / name / "ledger.db", key=OPERATOR) as chain:
            for number, block in enumerate(blocks):
                changed = name == "other" and isinstance(block, Publication) and number < 8
                chain.append(replace(block, champion="5e" * 32) if changed else block)  # type: ignore[type-var]

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["ledger", *words])
        return done.exit_code, " ".join(done.output.split())

    same, other, out = str(tmp_path / "same"), str(tmp_path / "other"), str(tmp_path / "p.json")
    assert call("compare", memory, same)[0] == 0
    code, text = call("compare", memory, other, "--out", out)
    assert code == 1 and "showed one ledger" in text
    assert call("compare", other, memory, "--out", out)[0] == 1
    code, text = call("proof", out)
    assert code == 0 and "it is proved" in text
    (tmp_path / "x.heads").write_text("{}")
    assert call("compare", str(tmp_path / "x.heads"), other)[0] == 1


def test_a_ledger_that_is_damaged_on_the_way_is_said_to_be(
    played: tuple[list[Block], Path], shown: tuple[ShownHead, ...]
) -> None:
    blocks = sealed(played[0])
    damaged = [blocks[0], replace(blocks[1], body="{}"), *blocks[2:]]
    with pytest.raises(LedgerError, match=r"seal\.hash"):
        against(shown, damaged)
