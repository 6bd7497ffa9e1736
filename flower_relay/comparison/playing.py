"""Playing many cells: on all cores, going on where it stopped, whatever happens to one.

A cell is played in a process of its own kind: spawned, one torch thread, its result
written before it is counted. A cell that raises is reported and the rest goes on; a process
that dies takes nothing but its cell.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, RelayError
from ..files.durable import discard_unfinished, make_folder
from .files import cell_file, write_cell
from .plan import Cell

__all__ = ["Failure", "Player", "check_cells", "play_cells", "player_named"]

Player = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Plays one cell (`Cell.as_dict`); returns what `flower_relay.comparison.files` keeps of it."""

_DIED = "its process died, mostly for want of memory; play fewer at once (--workers)"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that could not be played, and why."""

    cell: Cell
    reason: str


def player_named(name: str) -> Player:
    """The function `module:function` that plays a cell.

    Raises
    ------
    ConfigurationError
        When there is no such module, or no such function in it.
    """
    module, _, function = name.partition(":")
    try:
        player: Player = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as problem:
        raise ConfigurationError(
            f"player {name!r}: expected module:function, importable from here: {problem}. The "
            "line-up's own is strategies.contest:play; run from the checkout's folder."
        ) from problem
    return player


def check_cells(cells: Sequence[Cell], player: str) -> None:
    """Have the player's module look at each kind of cell, before anything is played or written.

    A module that has a function `check` beside its player is asked once for each strategy,
    data, partition and attack; what it raises is the user's to see.

    Raises
    ------
    ConfigurationError
        On a name or setting that there is not, or data that cannot be had here.
    """
    player_named(player)
    check = getattr(importlib.import_module(player.partition(":")[0]), "check", None)
    kinds = {(c.strategy, c.data, c.partition, c.attack, c.share): c for c in reversed(cells)}
    if check is None:
        return
    for cell in reversed(kinds.values()):
        check(cell.as_dict())


def play_cells(
    cells: Sequence[Cell],
    folder: Path,
    player: str,
    *,
    workers: int | None = None,
    on_cell: Callable[[Cell, Failure | None], None] | None = None,
) -> list[Failure]:
    """Play every cell that the folder does not have yet.

    Parameters
    ----------
    folder : pathlib.Path
        Where finished cells are kept, a file each.
    player : str
        `module:function`; imported in the processes.
    workers : int, optional
        Processes; by default one a core. 1 plays in this one.
    on_cell : callable, optional
        Told each cell that is finished, found finished, or failed.

    Returns
    -------
    list of Failure
        Cells that could not be played, with the reason; playing again tries them again.
    """
    make_folder(folder)
    tell = on_cell or (lambda cell, failure: None)
    distinct = {cell.key: cell for cell in cells}
    open_ = [cell for cell in distinct.values() if not cell_file(folder, cell).exists()]
    for cell in distinct.values():
        if cell_file(folder, cell).exists():
            tell(cell, None)
    workers = _workers(open_, workers)
    ended = (
        _here(open_, folder, player) if workers == 1 else _pooled(open_, folder, player, workers)
    )
    failures: list[Failure] = []
    for cell, reason in ended:
        failure = None if reason is None else Failure(cell=cell, reason=reason)
        failures += [failure] if failure else []
        tell(cell, failure)
    return failures


def _workers(cells: Sequence[Cell], asked: int | None) -> int:
    """As asked, or one a core; Flower's own engine fills the machine by itself."""
    if any(cell.engine == "flower" for cell in cells):
        return 1
    return max(1, min(len(cells), asked or os.cpu_count() or 1))


_Ended = tuple[Cell, str | None]


def _here(cells: Sequence[Cell], folder: Path, player: str) -> Iterator[_Ended]:
    for cell in cells:
        yield cell, _play(cell, folder, player)


def _pooled(cells: Sequence[Cell], folder: Path, player: str, workers: int) -> Iterator[_Ended]:
    """Play in processes; who was being played when one died is played again, alone."""
    waiting = deque(cells)
    while waiting:
        suspects: list[Cell] = []
        yield from _pool(waiting, folder, player, workers, suspects)
        for cell in suspects:
            alone: list[Cell] = []
            yield from _pool(deque([cell]), folder, player, 1, alone)
            yield from ((dead, _DIED) for dead in alone)


def _pool(
    waiting: deque[Cell], folder: Path, player: str, workers: int, suspects: list[Cell]
) -> Iterator[_Ended]:
    """Play what waits until it is done or the pool breaks; `suspects` are the open ones then."""
    # Spawned, not forked: whoever calls us may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare) as pool:
        playing: dict[Future[str | None], Cell] = {}
        try:
            while waiting or playing:
                while waiting and len(playing) < workers:
                    playing[pool.submit(_play, waiting[0], folder, player)] = waiting[0]
                    waiting.popleft()  # only now: a pool that is broken takes none
                for future in wait(playing, return_when=FIRST_COMPLETED).done:
                    reason = future.result()
                    yield playing.pop(future), reason
        except BrokenProcessPool:
            suspects += playing.values()
    for cell in suspects:  # the other processes were killed, too, perhaps while they wrote
        discard_unfinished(cell_file(folder, cell))


def _prepare() -> None:
    """Numerical libraries use one thread, and the process ends when its parent does."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes outlive a parent that is killed, and wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(cell: Cell, folder: Path, player: str) -> str | None:
    """Play a cell and keep what came of it; why not, where that fails."""
    if cell_file(folder, cell).exists():  # finished just before another's process died
        return None
    began = time.monotonic()
    try:
        found = player_named(player)(cell.as_dict())
        write_cell(folder, cell, found, time.monotonic() - began)
    except RelayError as problem:
        return str(problem)
    except Exception as problem:  # one cell's trouble, of whatever kind, is not the others'
        return f"{type(problem).__name__}: {problem}"
    return None
