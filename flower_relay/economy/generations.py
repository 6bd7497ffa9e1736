"""The lineage of a fan-out, one generation a round, and exact pay along all of it at once.

In a fan-out every base is a model recognised the round before, so the lineage is a tree
whose generations are rounds. The rules of `rewards` pay every ancestor of every
recognised model: one by one that costs rounds² by the end of a run. Two observations
make the cost of a round constant, and change no coin:

- what an ancestor is paid in a round is the *number* of recognised descendants it has,
  so one pass from the newest generation upwards counts for all of them;
- lineages coalesce: above the newest common ancestor there is a single line, the trunk,
  whose members are each paid once for *every* recognised model. A participant that owns
  k models of the trunk is owed k · T − S, with T the recognised models so far and S the
  sum of what T was when its models joined the trunk. Nothing is walked for that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rules.coins import COIN
from ..rules.rewards import passed_on

__all__ = ["Generation", "Generations"]


@dataclass
class Generation:
    """Models recognised in one round that still have descendants in the newest one.

    Attributes
    ----------
    owner : integer array of shape (models,)
        Who trained each; nobody twice, since nobody trains twice in a round.
    parent : integer array of shape (models,)
        Position of each one's base in the generation above.
    rose : boolean array of shape (models,)
        Whether it rose over its lineage's high-water mark (contribution).
    mark : float array of shape (models,)
        That high-water mark, itself included.
    heirs : boolean array of shape (models,)
        Whether it or any ancestor rose: whether anybody shares in a descendant's credit.
    """

    owner: NDArray[np.int64]
    parent: NDArray[np.int64]
    rose: NDArray[np.bool_]
    mark: NDArray[np.float64]
    heirs: NDArray[np.bool_]

    def __len__(self) -> int:
        """Models in this generation."""
        return len(self.owner)

    def keep(self, alive: NDArray[np.bool_]) -> None:
        """Let go of models without descendants."""
        for name in ("owner", "parent", "rose", "mark", "heirs"):
            setattr(self, name, getattr(self, name)[alive])


class Generations:
    """A fan-out's lineage: the trunk, and the generations since it last branched.

    Parameters
    ----------
    num_participants : int
        Size of the arrays over participants.
    genesis_owner : int
        Owner of the genesis model, and of the root above it that the authors pay too.
    level : float
        Utility of the genesis model, the first high-water mark.
    """

    def __init__(self, num_participants: int, genesis_owner: int, level: float = 0.0) -> None:
        self.recognised_so_far = 0
        self._trunk_length = 0
        self._trunk_models = np.zeros(num_participants, dtype=np.int64)
        self._joined_at = np.zeros(num_participants, dtype=np.int64)
        self._trunk_risen: deque[tuple[int, bool]] = deque()
        self._trunk_models[genesis_owner] = 1  # the root
        genesis = Generation(
            owner=np.array([genesis_owner]),
            parent=np.array([0]),
            rose=np.array([False]),
            mark=np.array([level]),
            heirs=np.array([False]),
        )
        self.branches: deque[Generation] = deque([genesis])

    @property
    def newest(self) -> Generation:
        """The generation that bases are taken from."""
        return self.branches[-1]

    @property
    def depth(self) -> int:
        """Models from genesis down to the newest generation, both included."""
        return self._trunk_length + len(self.branches)

    @property
    def num_models(self) -> int:
        """Models below the trunk: what a round has to walk."""
        return sum(len(generation) for generation in self.branches)

    def grow(self, num_participants: int) -> None:
        """Make room for participants who joined."""
        more = num_participants - len(self._trunk_models)
        self._trunk_models = np.append(self._trunk_models, np.zeros(more, dtype=np.int64))
        self._joined_at = np.append(self._joined_at, np.zeros(more, dtype=np.int64))

    def owed(self, who: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.int64]:
        """Units that the trunk owes to some participants (all by default), exactly."""
        models = self._trunk_models[who] * self.recognised_so_far - self._joined_at[who]
        return models * COIN

    def pay_royalties(self, coins: NDArray[np.int64], bases: NDArray[np.int64]) -> None:
        """One coin to every ancestor's owner for every recognised model, as `royalties` does.

        Parameters
        ----------
        coins : integer array of shape (participants,)
            Balances in units, without what the trunk owes; paid in place.
        bases : integer array of shape (recognised,)
            Position of each recognised model's base in the newest generation.
        """
        counts = np.bincount(bases, minlength=len(self.newest))
        for above, generation in zip(
            [*list(self.branches)[-2::-1], None], reversed(self.branches), strict=True
        ):
            coins[generation.owner] += counts * COIN
            if above is not None:
                counts = np.bincount(generation.parent, weights=counts, minlength=len(above))
                counts = counts.astype(np.int64)
        self.recognised_so_far += len(bases)

    def pay_lineage(
        self,
        coins: NDArray[np.int64],
        bases: NDArray[np.int64],
        trainers: NDArray[np.int64],
        units: NDArray[np.int64],
        decay: float,
    ) -> None:
        """Send each hop's lineage share up from its base, as `Lineage.shares` does.

        Each generation that rose keeps 1 − `decay` of what reaches it, the first that
        ever rose keeps all; where no ancestor rose, the trainer keeps it. Units reach a
        model from all its descendants together before they are divided, so that rounding
        differs from paying hop by hop by less than a unit per model passed.
        """
        heirs = self.newest.heirs[bases]
        np.add.at(coins, trainers[~heirs], units[~heirs])
        reaching = np.zeros(len(self.newest), dtype=np.int64)
        np.add.at(reaching, bases[heirs], units[heirs])
        generations = list(self.branches)
        for position in range(len(generations) - 1, -1, -1):
            generation = generations[position]
            heirs_above = self._heirs_above(position)
            ends = generation.rose & ~heirs_above
            passed = np.where(generation.rose, passed_on(reaching, decay), reaching)
            kept = np.where(ends, reaching, reaching - passed)
            coins[generation.owner] += kept
            above = len(generations[position - 1]) if position > 0 else 1
            left, reaching = reaching - kept, np.zeros(above, dtype=np.int64)
            np.add.at(reaching, generation.parent, left)
        self._pay_trunk(coins, reaching, decay)

    def _heirs_above(self, position: int) -> NDArray[np.bool_]:
        """For each model of a generation, whether an ancestor of it rose."""
        generation = self.branches[position]
        if position == 0:
            return np.full(len(generation), bool(self._trunk_risen))
        return self.branches[position - 1].heirs[generation.parent]

    def _pay_trunk(
        self, coins: NDArray[np.int64], reaching: NDArray[np.int64], decay: float
    ) -> None:
        """Send what reaches the trunk up it; rounding ends that after some 300 models."""
        for owner, first in reversed(self._trunk_risen):
            if reaching[0] == 0:
                return
            passed = reaching * 0 if first else passed_on(reaching, decay)
            coins[owner] += int((reaching - passed)[0])
            reaching = passed

    def extend(
        self, bases: NDArray[np.int64], owners: NDArray[np.int64], levels: NDArray[np.float64]
    ) -> None:
        """Begin a generation: the models just recognised, best first.

        Parameters
        ----------
        bases : integer array of shape (recognised,)
            Position of each one's base in the newest generation.
        owners : integer array of shape (recognised,)
            Who trained each.
        levels : float array of shape (recognised,)
            The utility of each.
        """
        above = self.newest
        mark = above.mark[bases]
        rose = levels > mark
        self.branches.append(
            Generation(
                owner=owners,
                parent=bases,
                rose=rose,
                mark=np.maximum(mark, levels),
                heirs=above.heirs[bases] | rose,
            )
        )
        self._prune()
        self._join_trunk()

    def _prune(self) -> None:
        """Let go of models that have no descendant in the newest generation."""
        generations = list(self.branches)
        for above, below in zip(generations[-2::-1], generations[:0:-1], strict=True):
            alive = np.zeros(len(above), dtype=np.bool_)
            alive[below.parent] = True
            if alive.all():
                return
            below.parent = (np.cumsum(alive) - 1)[below.parent]
            above.keep(alive)

    def _join_trunk(self) -> None:
        """Move generations of one model, from which all descend, to the trunk."""
        while len(self.branches) > 1 and len(self.branches[0]) == 1:
            joined = self.branches.popleft()
            owner = int(joined.owner[0])
            self._trunk_length += 1
            self._trunk_models[owner] += 1
            self._joined_at[owner] += self.recognised_so_far
            if joined.rose[0]:
                self._trunk_risen.append((owner, not self._trunk_risen))
            self.branches[0].parent[:] = 0
