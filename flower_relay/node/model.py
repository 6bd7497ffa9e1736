"""The models in a message's content, seen to be of fit numbers and not too large.

They are there as one ArrayRecord, or in a parcel as steps from one to the next. Of a parcel no
more is held at once than its later steps and the one who asked have need of, and never beyond
a bound: a few bytes can be the difference between two large models.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import RefusedError
from ..store import Arrays, canonical_bytes, model_name
from ..wire.arrays import RESERVED, array_of, as_sent, misnamed, strange_numbers
from ..wire.parcels import steps_of, taken
from ..wire.requests import brief
from .cache import ModelCache

__all__ = ["MissingError", "Model", "model_in", "models_in"]

_MOST_AT_ONCE, _MOST_LARGE = 128_000_000, 4
"""What a parcel may make a node hold: this many bytes, and beside them this many models. A server
asks about 64 million bytes of models at once, and one more, each of which may have a base."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as a node works with it; `data` are its canonical bytes."""

    name: str
    arrays: dict[str, NDArray[Any]]
    data: bytes

    @cached_property
    def _packed(self) -> dict[str, Array]:
        return {name: as_sent(array) for name, array in self.arrays.items()}

    def record(self) -> ArrayRecord:
        """A record of its own for a ClientApp; the arrays in it are packed once."""
        return ArrayRecord(self._packed)


_RECENT: OrderedDict[str, Model] = OrderedDict()
_MOST_RECENT, _MOST_BYTES = 64, 200_000


def _recent(name: str) -> Model | None:
    """A small model that this process unpacked of late; the nodes of a simulation share it.

    It is what its name says, whichever node it came to first: names are hashes.
    """
    return _RECENT.get(name)


def _remember(model: Model) -> Model:
    """Keep a small model for the process's other nodes; the model."""
    if len(model.data) <= _MOST_BYTES:
        _RECENT[model.name] = model
        _RECENT.move_to_end(model.name)
        if len(_RECENT) > _MOST_RECENT:
            _RECENT.popitem(last=False)
    return model


def model_in(
    content: RecordDict, where: str, max_bytes: int | None, base: Arrays | None = None
) -> Model:
    """The one model in a content.

    Parameters
    ----------
    where : str
        What the content is called in an error.
    base : mapping of name to array, optional
        What a ClientApp made its result from; without it the model is the server's.

    Raises
    ------
    RefusedError
        When there is not exactly one, it is too large, or it is of no fit numbers: NaN, infinities
        that its base has not, types or names of which no model can be kept.
    """
    # Not `content.array_records`: its views keep what they showed alive.
    records = [record for record in content.values() if isinstance(record, ArrayRecord)]
    if len(records) != 1:
        raise RefusedError(
            f"{where} should hold one model, that is one ArrayRecord, and holds {len(records)}. "
            "Nothing was signed; a ClientApp for a relay receives and returns one."
        )
    size = records[0].count_bytes()
    if max_bytes is not None and size > max_bytes:
        raise RefusedError(
            f"{where} holds a model of {size} bytes; this node accepts {max_bytes} at most "
            "(relay-max-bytes). It was not unpacked; raise the limit if the run's model is "
            "meant to be this large."
        )
    arrays = {name: _unpacked(where, name, each, base) for name, each in records[0].items()}
    try:
        data = canonical_bytes(arrays)
    except (ValueError, SafetensorError) as problem:
        raise RefusedError(
            f"{where} holds a model that cannot be kept as safetensors: {problem}. Nothing was "
            "signed; give its arrays other names."
        ) from problem
    return Model(name=model_name(data), arrays=arrays, data=data)


def _unpacked(where: str, name: str, found: Array, base: Arrays | None) -> NDArray[Any]:
    """An array of fit numbers; other packings would be other people's code to run."""
    before = None if base is None else base.get(name)
    # A strange name that the server's own model has was the server's to judge.
    anew = name == RESERVED or (base is not None and before is None)
    if anew and (wrong := misnamed(name)):
        raise _unfit(where, name, f"its name {wrong}")
    try:
        array = array_of(found)
    except ValueError as problem:
        raise _unfit(where, name, str(problem)) from problem
    if strange_numbers(array, before):
        what = "NaN" if before is None else "NaN, or an infinity that its base has not"
        raise _unfit(where, name, f"it holds {what}")
    return array


def _unfit(where: str, name: str, found: str) -> RefusedError:
    return RefusedError(
        f"{where}: array {brief(name)} should be a numpy array of finite numbers, but {found}. "
        "Nothing was signed. Where it is the ClientApp's own result, its training has diverged "
        "or packs its weights differently."
    )


class MissingError(Exception):
    """A parcel builds on a model that is not held; its name."""


def models_in(
    parcel: object, names: Sequence[str], cache: ModelCache, max_bytes: int | None
) -> dict[str, Model]:
    """The models of these names, that a parcel leads to or that are held; they are remembered.

    Raises
    ------
    RefusedError
        When the parcel is none, leads elsewhere, or asks for too much to be held at once.
    MissingError
        When the parcel builds on models that are not held any more.
    """
    steps = steps_of(parcel)
    held = _Held(cache, [*(step.reference for step in steps if step.reference), *set(names)])
    for step in steps:
        if step.reference and not held.has(step.reference):
            raise MissingError(step.reference)
        # A node with a limit of its own looks at the size of whatever it is sent.
        model = _recent(step.model) if max_bytes is None else None
        if model is None:
            held.make_room(len(step.data) if not step.reference else held.size(step.reference))
            arrays = taken(step, held.get, max_bytes)
            made = Model(name=step.model, arrays=arrays, data=canonical_bytes(arrays))
            model = _remember(made)
        held.add(model)
        held.let_go(step.reference)
    found = {name: held.model(name) for name in names}
    held.keep()
    return found


class _Held:
    """Models at hand while a parcel is unpacked: made from it, or kept from before.

    Parameters
    ----------
    needed : sequence of str
        A model's name for every time that there will be need of it.
    """

    def __init__(self, cache: ModelCache, needed: Sequence[str]) -> None:
        self._cache = cache
        self._needed = Counter(needed)
        self._kept: dict[str, Arrays] = {}
        self._made: dict[str, Model] = {}

    def has(self, name: str) -> bool:
        """Whether a model is at hand; one that others of this process have need only be named."""
        if _recent(name) is not None:
            return name in self._made or name in self._cache.names()
        return self.get(name) is not None

    def get(self, name: str) -> Arrays | None:
        """A model's arrays, loaded from the cache once."""
        if name in self._made:
            return self._made[name].arrays
        if name not in self._kept and (arrays := self._cache.get(name)) is not None:
            self._kept[name] = arrays
            self.make_room(0)
        return self._kept.get(name)

    def size(self, name: str) -> int:
        """Bytes of a model that is at hand."""
        return _size(self.get(name) or {})

    def make_room(self, size: int) -> None:
        """See that one more model of so many bytes may be held.

        Raises
        ------
        RefusedError
            When it may not.
        """
        sizes = [
            size,
            *map(_size, self._kept.values()),
            *(len(m.data) for m in self._made.values()),
        ]
        most = _MOST_AT_ONCE + _MOST_LARGE * max(sizes)
        if sum(sizes) > most:
            raise RefusedError(
                f"the parcel makes this node hold {sum(sizes)} bytes of models at once, and "
                f"{most} are accepted: {_MOST_AT_ONCE}, and {_MOST_LARGE} of its largest model. "
                "Nothing was signed or used; have the server send fewer models in a message."
            )

    def add(self, model: Model) -> None:
        """Hold a model that was made, or have it kept at once where there is no need of it."""
        self._made[model.name] = model
        self._drop(model.name)

    def let_go(self, name: str) -> None:
        """There was need of a model for one of the times."""
        self._needed[name] -= 1
        self._drop(name)

    def _drop(self, name: str) -> None:
        if self._needed[name] > 0:
            return
        self._kept.pop(name, None)
        if (model := self._made.pop(name, None)) is not None:
            self._cache.put(name, model.data)

    def model(self, name: str) -> Model:
        """A model that was asked for."""
        if name in self._made:
            return self._made[name]
        shared = _recent(name)
        if shared is not None and self.has(name):
            return shared
        arrays = self.get(name)
        if arrays is None:
            raise MissingError(name)
        return _remember(Model(name=name, arrays=dict(arrays), data=canonical_bytes(arrays)))

    def keep(self) -> None:
        """Keep what was made in the cache, for messages to come."""
        for model in self._made.values():
            self._cache.put(model.name, model.data)


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
