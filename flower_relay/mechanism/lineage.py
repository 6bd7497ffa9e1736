"""Lineage: who descends from whom, how high it stands, and who shares in its pay.

Models are named by the hash of their weights. A model has one parent, or several where
lanes were averaged; the genesis model has none.
"""

from __future__ import annotations

import math
from collections import ChainMap, Counter
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from ..errors import LedgerError
from ..rules.rewards import passed_on

__all__ = ["Lineage", "Model"]

_TOO_SMALL = 1e-9
"""A share of a credit below this is not followed further back: it rounds to nothing."""

_COUNTS_KEPT = 256
"""Models whose ancestors' owners are remembered: the newest, which is where lines grow."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One recognised model.

    Attributes
    ----------
    name : str
        SHA-256 of its canonical bytes.
    parents : tuple of str
        The base it was trained on; several for an average, none for genesis.
    trainer : int or None
        Who made it, and so owns it; None for genesis and for averages.
    version : int
        The round after which it was recognised; 0 for genesis.
    gain : float
        Measured rise over its parent, as a fraction of the utility's bound.
    level, mark : float
        Sum of the gains down to genesis, and the highest such sum on the way.
    payee : str
        The nearest of itself and its ancestors that rose over the mark (or is an average,
        or genesis): where a share of a descendant's credit goes first.
    """

    name: str
    parents: tuple[str, ...]
    trainer: int | None
    version: int
    gain: float
    level: float
    mark: float
    payee: str


class Lineage:
    """All recognised models of a run, by name."""

    def __init__(self, genesis: str, owner: int | None = None) -> None:
        self.models: MutableMapping[str, Model] = {}
        self.genesis = genesis
        self._owned: dict[str, Counter[int]] = {}
        self.models[genesis] = Model(
            name=genesis, parents=(), trainer=owner, version=0, gain=0.0, level=0.0, mark=0.0,
            payee=genesis,
        )  # fmt: skip

    def __contains__(self, name: object) -> bool:
        return name in self.models

    def __getitem__(self, name: str) -> Model:
        try:
            return self.models[name]
        except KeyError:
            raise LedgerError(f"model {name[:12]} is not in the lineage.") from None

    def branch(self) -> Lineage:
        """A lineage that begins as this one; what is added to it stays out of this one."""
        branch = Lineage(self.genesis)
        branch.models = ChainMap({}, self.models)
        branch._owned = self._owned  # of the models of both; a name has one line
        return branch

    def add(self, name: str, parent: str, trainer: int, *, version: int, gain: float) -> Model:
        """Recognise a trained model; `gain` is NaN where the hop was not measured.

        Raises
        ------
        LedgerError
            When the parent is not known, or the model is: nothing descends from itself.
        """
        if name in self:
            raise LedgerError(f"model {name[:12]} is in the lineage already.")
        above = self[parent]
        known = 0.0 if math.isnan(gain) else gain  # unmeasured: as high as its parent
        level = above.level + known
        rises = level > above.mark
        self.models[name] = Model(
            name=name,
            parents=(parent,),
            trainer=trainer,
            version=version,
            gain=known,
            level=level,
            mark=max(above.mark, level),
            payee=name if rises else above.payee,
        )
        return self.models[name]

    def merge(self, name: str, parents: tuple[str, ...], *, version: int) -> Model:
        """Recognise an average of several models, as high as they are on average."""
        above = [self[parent] for parent in parents]
        self.models[name] = Model(
            name=name,
            parents=parents,
            trainer=None,
            version=version,
            gain=0.0,
            level=sum(model.level for model in above) / len(above),
            mark=max(model.mark for model in above),
            payee=name,
        )
        return self.models[name]

    def ancestors(self, name: str) -> Iterator[Model]:
        """The model's ancestors, nearest first, each once; the model itself is not one."""
        seen: set[str] = set()
        generation = list(self[name].parents)
        while generation:
            fresh = [parent for parent in dict.fromkeys(generation) if parent not in seen]
            seen.update(fresh)
            yield from (self[parent] for parent in fresh)
            generation = [up for parent in fresh for up in self[parent].parents]

    def owned_above(self, name: str) -> Counter[int]:
        """How many of a model's ancestors each participant owns.

        Counted from the parent's count where that is at hand, so that a long line is not
        walked again for each model added to it.
        """
        if name not in self._owned:
            parents = self[name].parents
            if len(parents) == 1 and parents[0] in self._owned:
                owned = self._owned[parents[0]].copy()
                line = [self[parents[0]]]
            else:
                owned, line = Counter(), list(self.ancestors(name))
            owned.update(model.trainer for model in line if model.trainer is not None)
            self._owned[name] = owned
            while len(self._owned) > _COUNTS_KEPT:
                del self._owned[next(iter(self._owned))]
        return self._owned[name].copy()

    def shares(self, parent: str, trainer: int, own: float, decay: float) -> dict[int, float]:
        """Who shares in the credit of a hop made on `parent`.

        The trainer keeps `own`. The rest goes up the lineage: each generation that rose
        over its mark keeps 1 − `decay` of what reaches it and passes the remainder on;
        generations that did not rise are passed over. What reaches genesis, or is too
        small to follow, stays with the last who rose or else with the trainer.

        Returns
        -------
        dict of participant to fraction
            Sums to 1.
        """
        paid = {trainer: own}
        reaching = [(self[parent].payee, 1.0 - own)]
        while reaching:
            passing: dict[str, float] = {}
            for name, share in reaching:
                model = self[name]
                above = [p for p in (self[up].payee for up in model.parents) if p != self.genesis]
                ends = not above or share < _TOO_SMALL
                rose = model.trainer is not None and name != self.genesis
                passed = 0.0 if ends else passed_on(share, decay) if rose else share
                heir = model.trainer if rose and model.trainer is not None else trainer
                paid[heir] = paid.get(heir, 0.0) + share - passed
                for up in [] if ends else above:
                    passing[up] = passing.get(up, 0.0) + passed / len(above)
            reaching = list(passing.items())
        return paid
