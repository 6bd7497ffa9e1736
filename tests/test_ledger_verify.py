"""A ledger that followed the rules verifies; whatever did not is found, and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flower_relay import FolderStore, InMemoryGrid, MemoryChain, RelaySettings, RelayStrategy
from flower_relay.ledger import OperatorKey, SealedBlock, read_sealed
from flower_relay.ledger.address import locate
from flower_relay.ledger.receipts import make_receipt
from flower_relay.ledger.sql_chain import StoredBlocks
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism.blocks import Block, Deposit, Publication
from flower_relay.mechanism.blocks import Testing as Examined
from tests.forgeries import flip_models, flip_stored, forgeries, small_run, verified, vote_more
from tests.imagined import KEY, ImaginedRun, sealed
from tests.linear import client, genesis_model, play

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[OperatorKey, OperatorKey]:
    folder = tmp_path_factory.mktemp("keys")
    return KEY, OperatorKey.create(folder / "other")


@pytest.fixture(scope="module")
def own(keys: tuple[OperatorKey, OperatorKey]) -> OperatorKey:
    return keys[0]


@pytest.fixture(scope="module")
def run() -> list[Block]:
    """Forty rounds in which legs fail, models are planted and somebody joins."""
    settings = RelaySettings(max_leg=4, examiners=6, planted=0.3, deposit_unit=0.0)
    return list(ImaginedRun(settings, participants=12, rounds=40, seed=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, as a real run leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    small_run(folder)
    return folder


def changed(blocks: Sequence[Block], index: int, change: Change) -> list[Block]:
    return [*blocks[:index], change(blocks[index]), *blocks[index + 1 :]]


# What followed the rules.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lanes": 3},
        {"lanes": 3, "lanes_meet": "average"},
        {"lanes": 3, "lanes_meet": "adam"},
        {"lanes": "auto"},
        {"topology": "fan-out", "rewards": "royalty"},
        {"examiners": 0},
        {"budget": 50},
        {"rewards": "royalty", "trail": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("participants", [2, 11])
def test_a_run_that_followed_the_rules_verifies(
    options: dict[str, Any], participants: int, own: OperatorKey
) -> None:
    settings = RelaySettings(**options)
    played = ImaginedRun(settings, participants=participants, rounds=40, seed=participants)
    ledger = list(sealed(played, own))
    verdict = verify_run(ledger, trust=own.public)
    assert verdict.problems == ()
    assert verdict.blocks == verdict.signatures == len(ledger)
    assert verdict.head == ledger[-1].hash
    assert verdict.producers == (own.public,)
    assert verdict.ended_in == "publication"
    assert verdict.hops_attested == played.progress.hops
    assert verdict.rounds == played.progress.state.round


def test_a_run_may_have_been_cut_off_after_any_block(run: list[Block], own: OperatorKey) -> None:
    ledger = list(sealed(run, own))
    for length in range(1, len(ledger), 7):
        verdict = verify_run(ledger[:length])
        assert verdict.ok
        assert verdict.ended_in == type(run[length - 1]).__name__.lower()


def test_a_real_run_verifies_with_its_models(folder: Path) -> None:
    verdict = verified(folder)
    assert verdict.problems == ()
    assert verdict.models is not None
    assert verdict.models.present == len(list((folder / "models").iterdir()))
    assert verdict.models.collected > 0


def test_averages_whose_parents_are_there_are_made_again(tmp_path: Path, own: OperatorKey) -> None:
    class Hoard(FolderStore):
        def keep_only(self, names: Any) -> None:
            pass

    chain, options = MemoryChain(own), {"lanes": 2, "lanes_meet": "average", "max_leg": 1}
    strategy = RelayStrategy(
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0, **options
    )
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    verdict = verify_run(sealed(blocks, own), models=tmp_path)
    assert verdict.problems == ()
    assert verdict.averages_checked > 0 == verdict.averages_stated

    index = max(i for i, block in enumerate(blocks) if isinstance(block, Publication))
    invented = sha256(b"invented").hexdigest()
    true = blocks[index]
    assert isinstance(true, Publication)
    lie: Change = lambda p: replace(p, trails=(invented,) * 2, champion=invented)  # noqa: E731
    forged = list(sealed(changed(blocks, index, lie), own))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (index, "publication.trails[0]")
    assert problem.expected == f'"{true.trails[0]}"'
    assert problem.found == f'"{invented}"'
    assert verify_run(forged).ok  # without the models nobody can tell


def test_what_the_lanes_optimiser_remembers_is_made_again(tmp_path: Path, own: OperatorKey) -> None:
    class Hoard(FolderStore):
        def keep_only(self, names: Any) -> None:
            pass

    chain = MemoryChain(own)
    strategy = RelayStrategy(
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0,
        lanes=2, lanes_meet="adam",
    )  # fmt: skip
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    verdict = verify_run(sealed(blocks, own), models=tmp_path)
    assert verdict.problems == ()
    assert verdict.averages_checked > 0 == verdict.averages_stated

    index = max(i for i, block in enumerate(blocks) if isinstance(block, Publication))
    invented = sha256(b"invented").hexdigest()
    lie: Change = lambda p: replace(p, moments=(invented, invented))  # noqa: E731
    forged = list(sealed(changed(blocks, index, lie), own))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (index, "publication.moments[0]")

    for name in strategy.running.state.moments:
        (tmp_path / f"{name}.safetensors").unlink()
    problem = verify_run(sealed(blocks, own), models=tmp_path).first_problem
    assert problem is not None
    assert "what the lanes' optimiser remembers" in str(problem)


def test_what_audits_are_measured_by_is_made_again(tmp_path: Path, own: OperatorKey) -> None:
    class Hoard(FolderStore):
        def keep_only(self, names: Any) -> None:
            pass

    chain = MemoryChain(own)
    strategy = RelayStrategy(
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0
    )
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    assert verify_run(sealed(blocks, own), models=tmp_path).problems == ()

    index = max(i for i, b in enumerate(blocks) if isinstance(b, Examined) and b.probes)
    invented = sha256(b"invented").hexdigest()
    true = blocks[index]
    assert isinstance(true, Examined)

    def lie(test: Examined) -> Examined:
        models = tuple(invented if name == test.probes[0] else name for name in test.models)
        return replace(test, probes=(invented, *test.probes[1:]), models=models)

    forged = list(sealed(changed(blocks, index, lie), own))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert problem.block == index
    assert (problem.expected, problem.found) == (f'"{true.probes[0]}"', f'"{invented}"')

    fewer: Change = lambda t: replace(t, references=t.references[1:])  # noqa: E731
    problem = verify_run(sealed(changed(blocks, index, fewer), own)).first_problem
    assert problem is not None
    assert problem.field == "testing.references"


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
def test_a_change_of_a_stored_column_is_named(
    column: str, field: str, run: list[Block], own: OperatorKey
) -> None:
    ledger = list(sealed(run, own))
    value = getattr(ledger[5], column)
    other = 8 if column == "index" else ("1" if value[0] == "0" else "0") + value[1:]
    ledger[5] = replace(ledger[5], **{column: other})
    problem = verify_run(ledger).first_problem
    assert problem is not None
    assert (problem.block, problem.kind, problem.field) == (5, "seal", field)


def test_hex_in_upper_case_is_another_spelling(run: list[Block], own: OperatorKey) -> None:
    for column in ("producer", "signature"):
        [first, *rest] = sealed(run[:2], own)
        upper = replace(first, **{column: getattr(first, column).upper()})
        assert not verify_run([upper, *rest]).ok
        assert not verify_run([upper]).ok


def test_a_body_has_one_spelling(run: list[Block], own: OperatorKey) -> None:
    [first, *_] = sealed(run, own)
    for text in (first.body.replace(":", ": ", 1), "[" * 10**5, '{"kind":1e999}', ""):
        digest = sha256((first.previous + text).encode()).hexdigest()
        signature = own.sign(bytes.fromhex(digest))
        spelled = replace(first, body=text, hash=digest, signature=signature)
        verdict = verify_run([spelled])
        assert verdict.first_problem is not None
        assert verdict.first_problem.block == 0


def test_no_blocks_are_no_ledger() -> None:
    problem = verify_run([]).first_problem
    assert problem is not None
    assert problem.expected == "a genesis block"


def test_another_key_half_way_is_reported_with_its_block(
    run: list[Block], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    own, other = keys
    mixed = [*list(sealed(run, own))[:20], *list(sealed(run, other))[20:]]
    verdict = verify_run(mixed)
    assert [(p.block, p.field, p.found) for p in verdict.problems] == [
        (20, "seal.producer", other.public)
    ]
    assert verdict.producers == (own.public, other.public)
    assert verdict.blocks == len(run)  # it is no reason to stop


def test_a_run_written_anew_by_the_rules_is_found_by_key_receipt_or_head_and_by_nothing_else(
    folder: Path, keys: tuple[OperatorKey, OperatorKey]
) -> None:
    own = OperatorKey.load(folder.parent / "operator.key")
    found = forgeries(list(read_sealed(folder)), own, keys[1])
    assert [what for what, right in found.items() if not right] == []


def test_a_key_alone_does_not_say_whether_the_run_was_written_anew(
    run: list[Block], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    own, other = keys
    resigned = list(sealed(run, other))
    assert "Either they were signed again" in verify_run(resigned, trust=own.public).note
    receipt = make_receipt(sealed(run, own), "partition-id-0", own)
    told = verify_run(resigned, trust=own.public, receipt=receipt)
    assert "only signed again" in told.note
    assert not told.ok
    rewritten = verify_run(sealed(vote_more(run), own), receipt=receipt)
    assert rewritten.note == ""
    assert rewritten.first_problem is not None
    assert "as the receipt attests" in rewritten.first_problem.expected


def test_a_ledger_cut_back_behind_a_receipt_or_head_is_found(
    run: list[Block], own: OperatorKey
) -> None:
    ledger: list[SealedBlock] = list(sealed(run, own))
    receipt = make_receipt(ledger, "partition-id-0", own)
    shorter = ledger[: receipt.block]
    assert verify_run(shorter).ok
    fields = [p.field for p in verify_run(shorter, receipt=receipt).problems]
    assert fields == [f"block {receipt.block}", f"block {receipt.head_block}"]
    assert [p.kind for p in verify_run(shorter, head=ledger[-1].hash).problems] == ["head"]


def test_bytes_flipped_in_the_stored_ledger_and_in_models_are_found(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    seen = flip_stored(copy, every=211) + flip_models(copy)
    assert seen["unseen"] == 0
    assert seen["named"] > 60


# Model files.


def test_a_collected_model_is_told_from_a_missing_one(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    before = verified(copy).models
    assert before is not None
    champion = max(
        (b for b in (s.block() for s in read_sealed(copy)) if isinstance(b, Publication)),
        key=lambda b: b.round,
    ).champion
    (copy / "models" / f"{champion}.safetensors").unlink()
    verdict = verified(copy)
    assert verdict.models is not None
    assert list(verdict.models.missing) == [champion]
    assert verdict.models.collected == before.collected
    assert verdict.first_problem is not None
    assert verdict.first_problem.field == f"models/{champion}"
    assert "lane 0's trail" in verdict.first_problem.expected


def test_a_file_that_no_block_names_is_found_between_rounds_and_expected_within_one(
    folder: Path, tmp_path: Path, own: OperatorKey
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    stray = sha256(b"stray").hexdigest()
    (copy / "models" / f"{stray}.safetensors").write_bytes(b"stray")
    assert [p.field for p in verified(copy).problems] == [f"models/{stray}"]
    ledger = list(read_sealed(copy))
    last = max(i for i, s in enumerate(ledger) if isinstance(s.block(), Deposit))
    open_round = verify_run(ledger[: last + 1], models=copy / "models")
    assert open_round.models is not None
    assert stray in open_round.models.unnamed
    assert not [p for p in open_round.problems if stray in p.field]


# A run that goes on meanwhile.


class Overtaken(StoredBlocks):
    """Blocks of a run that goes on before the first of them is read, and after the last."""

    def __init__(self, folder: Path, before: int | None = None, after: int | None = None) -> None:
        super().__init__(locate(folder))
        self.folder, self.before, self.after = folder, before, after

    def __next__(self) -> SealedBlock:
        if self.before is not None:
            number, self.before = self.before, None
            self.go_on(number)
        try:
            return super().__next__()
        except StopIteration:
            if self.after is not None:
                self.go_on(self.after)
            raise

    def go_on(self, rounds: int) -> None:
        play(self.folder, rounds)


@pytest.mark.parametrize(
    ("before", "after", "rounds"),
    [
        (5, None, 5),  # models came after the files were listed
        (None, 5, 3),  # all was as listed when the last block was read
        (5, 7, 7),  # models came, and were collected: later blocks say so
    ],
)
def test_a_run_that_goes_on_meanwhile_raises_no_false_alarm(
    tmp_path: Path, before: int | None, after: int | None, rounds: int
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    play(folder, 3)
    old = set((folder / "models").iterdir())
    verdict = verify_run(Overtaken(folder, before, after), models=folder / "models")
    assert old - set((folder / "models").iterdir())  # something was collected, as it should be
    assert verdict.problems == ()
    assert verdict.rounds == rounds


def test_what_is_missing_is_found_while_a_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    play(folder, 3)

    class Robbed(Overtaken):
        def go_on(self, rounds: int) -> None:
            super().go_on(rounds)
            for path in (folder / "models").iterdir():
                path.unlink()

    verdict = verify_run(Robbed(folder, 5), models=folder / "models")
    assert verdict.models is not None
    assert set(verdict.models.missing.values()) == {"lane 0's baton", "lane 0's trail"}
    assert verdict.rounds == 5
