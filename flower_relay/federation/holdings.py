"""The server's half of parcels: what each node holds, and the shortest way from that to a model.

A node with the mod says in its replies which models it holds. What it is sent is then a chain
of steps that ends at the model it is to have: whole only where nothing shorter is known, or
when it says that something it should hold is missing. What nodes hold decides how much is
sent and nothing else; a ledger does not depend on it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from ..errors import ModelMissingError
from ..store import ModelStore, canonical_bytes
from ..wire.deltas import encode
from ..wire.parcels import (
    LONGEST_WAY,
    MOST_MODELS,
    ONE_PIECE,
    PARCEL,
    PREFIX,
    Step,
    difference_to,
    parcel_of,
    whole,
)

__all__ = ["Forwarding", "packed"]

_MOST_STEP_BYTES = 64_000_000
"""Differences remembered; older ones are made up for by sending whole models."""


@dataclass(kw_only=True)
class Forwarding:
    """Who holds what, and the differences between models that were made so far."""

    store: ModelStore
    _holds: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _steps: OrderedDict[str, Step] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _last_whole: Step | None = None

    @property
    def anybody(self) -> bool:
        """Whether a node runs the mod."""
        return bool(self._holds)

    def reaches(self, node: int) -> bool:
        """Whether a node runs the mod, and so takes parcels."""
        return node in self._holds

    def note(self, held: Mapping[int, tuple[str, ...] | None]) -> None:
        """Remember what nodes said they hold; None is of a node without the mod."""
        for node, prefixes in held.items():
            if prefixes is not None:
                self._holds[node] = prefixes[-MOST_MODELS:]

    def forget(self, node: int) -> bool:
        """Rely on nothing at a node any more; whether anything had been relied upon."""
        relied = bool(self._holds.get(node))
        self._holds[node] = ()
        return relied

    def learn(self, step: Step) -> None:
        """Remember a difference, for those who hold what it is relative to."""
        self._steps[step.model] = step
        size = sum(len(each.data) for each in self._steps.values())
        while size > _MOST_STEP_BYTES:
            size -= len(self._steps.popitem(last=False)[1].data)

    def parcel(self, node: int, models: Iterable[str]) -> ConfigRecord:
        """The shortest parcel known by which a node comes to have these models."""
        wanted = list(models)
        steps = {near: self._whole(near) for near in self._worth_sending(node, wanted)}
        for model in wanted:
            way = self._way(node, model, steps)
            for step in [self._whole(model)] if way is None else way:
                steps[step.model] = step
        return parcel_of(list(steps.values()))

    def _worth_sending(self, node: int, models: Iterable[str]) -> list[str]:
        """Models near several that a node has no way to: whole, they save sending each whole."""
        saved: Counter[str] = Counter()
        for model in models:
            last = self._steps.get(model)
            if last is not None and self._way(node, model, {}) is None:
                saved[last.reference] += self._size(model) - len(last.data)
        # Only those that save something are looked for: that is to read them.
        return [near for near in saved if saved[near] > self._bytes and self._there(near)]

    def _there(self, model: str) -> bool:
        """Whether a model is kept; some were only ever on the way."""
        try:
            self.store.get(model)
        except ModelMissingError:
            return False
        return True

    def parcel_near(self, node: int, model: str, near: str) -> ConfigRecord | None:
        """The same for one model by way of another that a node may hold; None: send arrays."""
        way = self._way(node, model, {})
        if way is None and near != model and (way := self._way(node, near, {})) is not None:
            arrays = self.store.get(model)
            try:
                data = encode(arrays, self.store.get(near), "exact")
                way = [*way, difference_to(near, model, "exact", data)]
                if sum(len(step.data) for step in way) >= sum(a.nbytes for a in arrays.values()):
                    way = None
            except ValueError:
                way = None
        if way is None and self._size(model) <= ONE_PIECE:
            way = [self._whole(model)]
        return None if way is None else parcel_of(way)

    def _way(self, node: int, model: str, made: Mapping[str, Step]) -> list[Step] | None:
        """Steps from what a node holds or is sent already; None where whole is shorter."""
        held = self._holds.get(node, ())
        way: list[Step] = []
        while model not in made and model[:PREFIX] not in held:
            step = self._steps.get(model)
            if step is None or len(way) == LONGEST_WAY:
                return None
            way.append(step)
            model = step.reference
        if len(way) > 1 and sum(len(step.data) for step in way) > self._size(way[0].model):
            return None
        return way[::-1]

    def _size(self, model: str) -> int:
        """Bytes of a model: as many as of any other of the run, of which one is read."""
        if not self._bytes:
            self._bytes = sum(array.nbytes for array in self.store.get(model).values())
        return self._bytes

    def rest(self) -> None:
        """Hold no whole model until the next is asked for: messages hold what they need."""
        self._last_whole = None

    def _whole(self, model: str) -> Step:
        if self._last_whole is None or self._last_whole.model != model:
            self._last_whole = whole(model, canonical_bytes(self.store.get(model)))
        return self._last_whole


def packed(
    message: Message, parcel: ConfigRecord, arrays_key: str, config_key: str, **told: Sequence[str]
) -> Message:
    """A train or evaluate message with a parcel in place of its arrays, and more in its config."""
    content = RecordDict({PARCEL: parcel})
    for key, record in message.content.items():
        if not isinstance(record, ArrayRecord):
            content[key] = record
    config = content.get(config_key)
    asked = config if isinstance(config, ConfigRecord) else {}
    names = {f"relay-{name}": list(value) for name, value in told.items()}
    content[config_key] = ConfigRecord({**asked, "relay-arrays": arrays_key, **names})
    message.content = content
    return message
