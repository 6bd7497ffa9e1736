"""An operator that keeps two ledgers, or signs two receipts, is convicted by a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flower_relay import LedgerError, RelaySettings
from flower_relay.cli import app
from flower_relay.ledger import SealedBlock, open_ledger
from flower_relay.ledger.forks import Fork, Receipts, compare, contradiction, proof_in, write_proof
from flower_relay.ledger.heads import Heads, heads_in, parting
from flower_relay.ledger.receipts import Receipt, check_receipt, make_receipt, write_receipt
from flower_relay.mechanism.blocks import Block, Commitment
from flower_relay.rules.outcomes import Fault
from tests.imagined import KEY, ImaginedRun, sealed
from tests.ledgers import OTHER_KEY
from tests.nodes import a_node, ask, said, tiny_app, weights
from tests.signers import Asking


@pytest.fixture(scope="module")
def run() -> list[Block]:
    return list(ImaginedRun(RelaySettings(examiners=4), participants=9, rounds=6, seed=14))


@pytest.fixture(scope="module")
def forked(run: list[Block]) -> tuple[list[Block], int]:
    """The run up to its first commitment, which says something else; and where that is."""
    at = next(i for i, block in enumerate(run) if isinstance(block, Commitment))
    block = run[at]
    assert isinstance(block, Commitment)
    gone = tuple(replace(c, model=None, fault=Fault.TIMEOUT, sent=None) for c in block.lanes[0])
    changed = gone if gone != block.lanes[0] else ()
    return [*run[:at], replace(block, lanes=(changed,))], at


def signed(run: list[Block], key: Any = KEY) -> list[SealedBlock]:
    return list(sealed(run, key))


def fork_of(run: list[Block], other: list[Block]) -> Fork:
    fork = compare(signed(run), signed(other)).fork
    assert fork is not None
    return fork


def test_two_ledgers_of_one_run_give_a_proof_that_needs_neither(
    run: list[Block], forked: tuple[list[Block], int], tmp_path: Path
) -> None:
    found = compare(signed(run), signed(forked[0]))
    assert (found.common, found.forked) == (forked[1], True) and found.fork is not None
    write_proof(found.fork, tmp_path / "proof.json")
    again = proof_in(tmp_path / "proof.json")
    assert again == found.fork
    proved = again.proves()
    assert proved is not None and KEY.public in proved


def test_a_ledger_and_its_beginning_are_no_contradiction(run: list[Block]) -> None:
    blocks = signed(run)
    found = compare(blocks, blocks[:7])
    assert (found.common, found.lengths, found.forked) == (7, (8, 7), False)
    assert compare(blocks, blocks).fork is None


def test_two_operators_or_two_runs_are_no_contradiction(
    run: list[Block], forked: tuple[list[Block], int]
) -> None:
    other = list(ImaginedRun(RelaySettings(), participants=9, rounds=2, seed=6))
    assert compare(signed(run), signed(other)).fork is None
    assert compare(signed(run), signed(forked[0], OTHER_KEY)).fork is None


@pytest.mark.parametrize(
    "change",
    [
        lambda fork: replace(fork, operator=OTHER_KEY.public),
        lambda fork: replace(fork, operator=(1).to_bytes(32, "little").hex()),
        lambda fork: replace(fork, previous="0" * 64),
        lambda fork: replace(fork, bodies=fork.bodies[::-1]),
        lambda fork: replace(fork, bodies=(fork.bodies[0],) * 2),
        lambda fork: replace(
            fork, bodies=(fork.bodies[0],) * 2, signatures=(fork.signatures[0],) * 2
        ),
        lambda fork: replace(fork, signatures=("", "")),
        lambda fork: replace(fork, bodies=(), signatures=()),
        lambda fork: replace(fork, previous="x"),
    ],
)
def test_a_changed_proof_proves_nothing(
    change: Callable[[Fork], Fork], run: list[Block], forked: tuple[list[Block], int]
) -> None:
    assert change(fork_of(run, forked[0])).proves() is None


def of(run: list[Block]) -> Receipt:
    return make_receipt(signed(run), "partition-id-4", KEY)


def again(receipt: Receipt, **change: Any) -> Receipt:
    """A receipt that the operator itself signs otherwise."""
    changed = replace(receipt, **change)
    return replace(changed, signature=KEY.sign(changed.signed_bytes()))


def test_two_receipts_that_contradict_each_other_are_a_proof(
    run: list[Block], tmp_path: Path
) -> None:
    own = of(run)
    for change in (
        {"head": "5e" * 32},
        {"block_hash": "5e" * 32},
        {"round": own.round + 1},
        {"block": own.block - 1, "block_hash": "5e" * 32},
    ):
        pair = Receipts(receipts=(own, again(own, **change)))
        write_proof(pair, tmp_path / "proof.json")
        assert proof_in(tmp_path / "proof.json").proves() is not None, change
    assert contradiction(own, replace(own, head="5e" * 32)) is None
    assert contradiction(own, of(run[: own.block - 4])) is None
    assert contradiction(own, again(own, run="5e" * 32)) is None


@pytest.mark.parametrize("change", [{"round": 999}, {"size": 99}])
def test_a_receipt_of_another_round_or_size_is_found_against_the_ledger(
    run: list[Block], change: dict[str, Any]
) -> None:
    problem = check_receipt(again(of(run), **change), blocks=signed(run))
    assert problem is not None
    assert problem.field in (f"receipt.{next(iter(change))}", "receipt.proof")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "fork"}', '{"kind": 7}', "\x00"])
def test_a_file_that_is_no_proof_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(text)
    with pytest.raises(LedgerError, match="should hold a proof"):
        proof_in(tmp_path / "proof.json")


def test_the_command_writes_the_proof_and_another_command_checks_it(
    run: list[Block], forked: tuple[list[Block], int], tmp_path: Path
) -> None:
    for name, blocks in (("a", run), ("b", forked[0])):
        (tmp_path / name).mkdir()
        with open_ledger(tmp_path / name / "ledger.db", key=KEY) as chain:
            for block in blocks:
                chain.append(block)
    out, folders = str(tmp_path / "proof.json"), [str(tmp_path / name) for name in "ab"]

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["ledger", *words])
        return done.exit_code, " ".join(done.output.split())

    code, text = call("compare", *folders, "--out", out)
    assert code == 1 and "signed two blocks" in text
    code, text = call("proof", out)
    assert code == 0 and "it is proved" in text
    proof = json.loads(Path(out).read_text())
    Path(out).write_text(json.dumps(proof | {"operator": OTHER_KEY.public}))
    assert call("proof", out)[0] == 1
    assert call("compare", folders[0], folders[0])[0] == 0
    own = of(run)
    write_receipt(own, tmp_path / "1.json")
    write_receipt(again(own, head="5e" * 32), tmp_path / "2.json")
    files = [str(tmp_path / f"{number}.json") for number in (1, 2)]
    assert call("compare", *files, "--out", out)[0] == 1
    assert call("proof", out)[0] == 0
    assert "the operator signed these words" in call("check-receipt", files[0])[1]


def remembering(folder: Path, name: str, links: str) -> Path:
    """The memory of a participant that was shown two blocks, and then others of its own."""
    node, chain = a_node(relay_key=str(folder / f"{name}.key")), Asking().grow().grow()
    for round, link in enumerate(links, start=1):
        terms = chain.told(round, seen=max(0, len(chain.links) - 2)) | {"relay-up": "exact"}
        assert "signature" in said(ask(tiny_app(), node, "train", terms, weights(round)))
        chain.grow(link * 64)
    return folder / f"{name}.memory"


def test_two_participants_who_were_shown_two_ledgers_prove_it_by_what_they_remember(
    tmp_path: Path,
) -> None:
    one, other, same = (
        remembering(tmp_path, name, links)
        for name, links in (("one", "123"), ("other", "143"), ("same", "12"))
    )
    found = parting(heads_in(one), heads_in(other))
    assert found is not None and [head.height for head in found.heads] == [4, 4]
    proved = found.proves()
    assert proved is not None and "showed two ledgers" in proved
    assert parting(heads_in(one), heads_in(same)) is None

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["ledger", *words])
        return done.exit_code, " ".join(done.output.split())

    taken, out = str(tmp_path / "a.heads"), str(tmp_path / "proof.json")
    assert call("heads", str(other), "--out", taken)[0] == 0
    assert "nonce" not in Path(taken).read_text() and heads_in(Path(taken)) == heads_in(other)
    code, text = call("compare", str(one), taken, "--out", out)
    assert code == 1 and "showed two ledgers" in text
    assert call("proof", out)[0] == 0
    assert call("compare", str(one), str(same))[0] == 0
    assert call("compare", taken, str(tmp_path))[0] == 1  # heads and a run are not of a kind


@pytest.mark.parametrize("change", [{"head": "5e" * 32}, {"height": 3}, {"run": "5e" * 32}])
def test_heads_that_the_operator_did_not_sign_prove_nothing(
    change: dict[str, Any], tmp_path: Path
) -> None:
    one = heads_in(remembering(tmp_path, "a", "12"))
    changed = replace(one[-1], **change)
    assert parting([changed], one) is None
    assert Heads(heads=(changed, one[-1])).proves() is None
    assert Heads(heads=(one[-1], one[-1])).proves() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"operator": 1, "runs": {"a": 7}}', "\x00"])
def test_a_file_that_is_no_memory_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.heads").write_text(text)
    with pytest.raises(LedgerError, match="should hold what a participant remembers"):
        heads_in(tmp_path / "a.heads")
