"""Models are checked with their ledger: present, collected, averaged, and while a run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flower_relay import FolderStore, InMemoryGrid, MemoryChain, RelayStrategy
from flower_relay.ledger import SealedBlock, read_sealed
from flower_relay.ledger.address import locate
from flower_relay.ledger.sql_chain import StoredBlocks
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism.blocks import Block, Deposit, Publication
from flower_relay.mechanism.blocks import Testing as Examined
from tests.forgeries import flip_models, flip_stored, small_run, verified
from tests.imagined import KEY, sealed
from tests.linear import client, genesis_model, play

Change = Callable[[Any], Any]


class Hoard(FolderStore):
    """A store that collects nothing."""

    def keep_only(self, names: Any) -> None:
        """Keep all."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, as a real run leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    small_run(folder)
    return folder


def changed(blocks: Sequence[Block], index: int, change: Change) -> list[Block]:
    return [*blocks[:index], change(blocks[index]), *blocks[index + 1 :]]


def test_a_real_run_verifies_with_its_models(folder: Path) -> None:
    verdict = verified(folder)
    assert verdict.problems == ()
    assert verdict.models is not None
    assert verdict.models.present == len(list((folder / "models").iterdir()))
    assert verdict.models.collected > 0


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
    folder: Path, tmp_path: Path
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


# What is made again.


def test_averages_whose_parents_are_there_are_made_again(tmp_path: Path) -> None:
    chain, options = MemoryChain(KEY), {"lanes": 2, "lanes_meet": "average", "max_leg": 1}
    strategy = RelayStrategy(  # nobody is rejected, so that no hop is shortened
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0,
        tolerance=0.9, **options,
    )  # fmt: skip
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    verdict = verify_run(sealed(blocks, KEY), models=tmp_path)
    assert verdict.problems == ()
    assert verdict.averages_checked > 0 == verdict.averages_stated

    index = max(i for i, block in enumerate(blocks) if isinstance(block, Publication))
    invented = sha256(b"invented").hexdigest()
    true = blocks[index]
    assert isinstance(true, Publication)
    lie: Change = lambda p: replace(p, trails=(invented,) * 2, champion=invented)  # noqa: E731
    forged = list(sealed(changed(blocks, index, lie), KEY))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (index, "publication.trails[0]")
    assert problem.expected == f'"{true.trails[0]}"'
    assert problem.found == f'"{invented}"'
    assert verify_run(forged).ok  # without the models nobody can tell


def test_what_the_lanes_optimiser_remembers_is_made_again(tmp_path: Path) -> None:
    chain = MemoryChain(KEY)
    strategy = RelayStrategy(
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0,
        lanes=2, lanes_meet="adam", tolerance=0.9,
    )  # fmt: skip
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    verdict = verify_run(sealed(blocks, KEY), models=tmp_path)
    assert verdict.problems == ()
    assert verdict.averages_checked > 0 == verdict.averages_stated

    index = max(i for i, block in enumerate(blocks) if isinstance(block, Publication))
    invented = sha256(b"invented").hexdigest()
    lie: Change = lambda p: replace(p, moments=(invented, invented))  # noqa: E731
    forged = list(sealed(changed(blocks, index, lie), KEY))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (index, "publication.moments[0]")

    for name in strategy.running.state.moments:
        (tmp_path / f"{name}.safetensors").unlink()
    problem = verify_run(sealed(blocks, KEY), models=tmp_path).first_problem
    assert problem is not None
    assert "what the lanes' optimiser remembers" in str(problem)


def test_what_audits_are_measured_by_is_made_again(tmp_path: Path) -> None:
    chain = MemoryChain(KEY)
    strategy = RelayStrategy(
        chain=lambda: chain, store=lambda: Hoard(tmp_path), examiners=3, first_debt=0.0
    )
    strategy.start(InMemoryGrid(client, 6), genesis_model(), num_rounds=4)
    blocks = list(chain)
    assert verify_run(sealed(blocks, KEY), models=tmp_path).problems == ()

    index = max(i for i, b in enumerate(blocks) if isinstance(b, Examined) and b.probes)
    invented = sha256(b"invented").hexdigest()
    true = blocks[index]
    assert isinstance(true, Examined)

    def lie(test: Examined) -> Examined:
        models = tuple(invented if name == test.probes[0] else name for name in test.models)
        return replace(test, probes=(invented, *test.probes[1:]), models=models)

    forged = list(sealed(changed(blocks, index, lie), KEY))
    problem = verify_run(forged, models=tmp_path).first_problem
    assert problem is not None
    assert problem.block == index
    assert (problem.expected, problem.found) == (f'"{true.probes[0]}"', f'"{invented}"')

    fewer: Change = lambda t: replace(t, references=t.references[1:])  # noqa: E731
    problem = verify_run(sealed(changed(blocks, index, fewer), KEY)).first_problem
    assert problem is not None
    assert problem.field == "testing.references"


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
    lane = {"lane 0's baton", "lane 0's trail"}
    assert set(verdict.models.missing.values()) == {*lane, "what planted models are made from"}
    assert verdict.rounds == 5
