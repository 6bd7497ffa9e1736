"""What a reply holds, read without trusting it: weights, metrics, and their averages.

Everything that a participant can send ends here as a value or as a `Flaw`; nothing raises.
Nothing is allocated on the word of a header: an array is read only where its header announces
the shape that is expected, and the bytes for it are there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
)
from numpy.typing import NDArray

from ..legible import legible
from ..mechanism.identity import is_hash, key_of, participant_name
from ..rules.candidates import Flaw, fitting
from ..rules.outcomes import Fault
from ..rules.roles import BOTH, ROLES
from ..transport.adapter import aggregate_metricrecords
from .arrays import array_of, as_sent
from .metrics import merged, number_in, number_of
from .parcels import MOST_MODELS, PREFIX
from .statements import Hello, Hop, Measured, Moment, Opening, Vote, attests, node_hash

__all__ = [
    "Ballot",
    "failure_told",
    "holds_told",
    "is_missing",
    "name_from_key",
    "nonces_told",
    "opening_told",
    "refusal_told",
    "role_told",
    "seen_told",
    "signature_of",
    "signed_vote",
    "averaged",
    "form_of",
    "the_model",
    "unpacked",
]

Told = Callable[[str, str], None]
"""Takes the name of a metric or an array, and what is odd about it."""


def the_model(
    content: RecordDict, base: Mapping[str, NDArray[Any]], key: str, told: Told
) -> Flaw | None:
    """See to it that a content holds one model which can be read, under `key`.

    Arrays of another precision are cast to the base's type where that loses nothing that
    training could see, and that is told.

    Returns
    -------
    Flaw or None
        What is wrong; None where the content now holds one readable model.
    """
    found = [name for name, record in content.items() if isinstance(record, ArrayRecord)]
    if len(found) != 1:
        return _misshaped(f"expected one ArrayRecord with the model, found {len(found)}")
    record = content[found[0]]
    assert isinstance(record, ArrayRecord)
    if record.keys() != base.keys():
        return _misshaped(_names_differ(list(record), list(base)))
    for name, packed in record.items():
        opened = _opened(name, packed, base[name])
        if isinstance(opened, Flaw):
            return opened
        array, cast_from = opened
        if cast_from is not None:
            told(name, f"it is of type {cast_from}, and is cast to the base's {array.dtype}")
            record[name] = as_sent(array)
    if found[0] != key:
        del content[found[0]]
        content[key] = record
    return None


def unpacked(name: str, packed: Array, like: NDArray[Any]) -> NDArray[Any] | Flaw:
    """An array out of its bytes, shaped and typed like another; it may be a view of them."""
    opened = _opened(name, packed, like)
    return opened if isinstance(opened, Flaw) else opened[0]


def _opened(
    name: str, packed: Array, like: NDArray[Any]
) -> tuple[NDArray[Any], np.dtype[Any] | None] | Flaw:
    """The same, and its own type where that had to be changed."""
    try:
        found = array_of(packed)
    except (TypeError, ValueError) as problem:
        return _misshaped(f"array '{legible(name, 80)}': {legible(str(problem))}")
    if found.shape != like.shape:
        return _misshaped(f"array '{name}': expected shape {like.shape}, found {found.shape}")
    array = fitting(found, like.dtype)
    if array is None:
        return _misshaped(f"array '{name}': expected type {like.dtype}, found {found.dtype}")
    return array, None if array is found else found.dtype


def _names_differ(found: Sequence[str], expected: Sequence[str]) -> str:
    """The first names that differ, and a hint where one is the other with something before it."""
    missing = sorted(set(expected) - set(found))
    new = sorted(set(found) - set(expected))
    parts = [f"array '{legible(missing[0], 80)}' is missing"] if missing else []
    parts += [f"array '{legible(new[0], 80)}' is not one of the model's"] if new else []
    prefixes = {name.removesuffix(other) for name in new for other in missing[:1]} - set(new)
    hint = f"; every name begins with '{legible(min(prefixes), 40)}'" if prefixes else ""
    return f"{' and '.join(parts)} ({len(missing)} missing, {len(new)} new){hint}"


def _misshaped(reason: str) -> Flaw:
    return Flaw(fault=Fault.MIS_SHAPED, reason=reason)


def averaged(contents: Iterable[RecordDict], weighted_by: str, told: Told) -> MetricRecord | None:
    """The weighted averages of the metrics that replies report; None where there are none.

    A reply without a positive number of examples has no weight and is left out. Of a metric
    that comes in several forms (a number, lists of different lengths) the form that most
    replies have is averaged, and the others are left out. What is left out is told.

    Parameters
    ----------
    weighted_by : str
        The metric that weighs; it is not averaged itself.
    """
    weighed: list[tuple[MetricRecord, int | float]] = []
    for content in contents:
        metrics = merged(content)
        weight = number_in(metrics, weighted_by)
        if metrics and (weight is None or not (0 < weight < math.inf)):
            told(weighted_by, f"expected a positive number, found {metrics.get(weighted_by)!r:.60}")
        elif metrics:
            weighed.append((metrics, metrics[weighted_by]))  # type: ignore[arg-type]
    names = dict.fromkeys(name for metrics, _ in weighed for name in metrics if name != weighted_by)
    alike = [name for name in names if _everybodys(name, weighed)]
    together = _weighted(alike, weighed, weighted_by) if alike else MetricRecord()
    averages = MetricRecord()
    for name in names:
        if name in together:
            averages[name] = together[name]
        else:
            averages.update(_average(name, weighed, weighted_by, told))
    return averages if weighed else None


def _everybodys(name: str, weighed: list[tuple[MetricRecord, int | float]]) -> bool:
    """Whether all replies have a metric in one form that can be averaged, as is usual."""
    forms = {form_of(metrics.get(name)) for metrics, _ in weighed}
    return len(forms) == 1 and None not in forms


def _weighted(
    names: Sequence[str], weighed: list[tuple[MetricRecord, int | float]], weighted_by: str
) -> MetricRecord:
    """The weighted averages of metrics that all of these replies have in one form."""
    records = [
        MetricRecord({weighted_by: weight, **{name: metrics[name] for name in names}})
        for metrics, weight in weighed
    ]
    return aggregate_metricrecords([RecordDict({"metrics": r}) for r in records], weighted_by)


def _average(
    name: str, weighed: list[tuple[MetricRecord, int | float]], weighted_by: str, told: Told
) -> MetricRecord:
    forms = Counter(form_of(metrics[name]) for metrics, _ in weighed if name in metrics)
    usable = [form for form, _ in forms.most_common() if form is not None]
    if len(forms) > 1 or not usable:
        told(name, f"it comes as {', '.join(str(form or 'no finite number') for form in forms)}")
    if not usable:
        return MetricRecord()
    alike = [
        (metrics, weight)
        for metrics, weight in weighed
        if name in metrics and form_of(metrics[name]) == usable[0]
    ]
    return _weighted([name], alike, weighted_by)


def form_of(value: object) -> str | None:
    """What a metric is, as far as averaging goes: `number`, `list of N`; None for neither."""
    if isinstance(value, list):
        fine = all(number_of(each) is not None for each in value)
        return f"list of {len(value)}" if fine else None
    number = number_of(value)
    return None if number is None or not math.isfinite(number) else "number"


def name_from_key(operator: str, run: str, challenge: str, message: Message) -> str | None:
    """What who answered is called if it answered the challenge itself; None if it did not."""
    said = _said(message)
    name = participant_name(str(said.get("public-key")))
    node = node_hash(challenge, message.metadata.src_node_id)
    hello = Hello(operator=operator, run=run, challenge=challenge, node=node)
    return name if attests(name, hello, said.get("hello-signature")) else None


def signature_of(reply: Message, name: str, hop: Hop) -> str | None:
    """The signature under a hop by the trainer of that name; None where there is no such."""
    signature = _said(reply).get("signature")
    return str(signature) if attests(name, hop, signature) else None


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """What an examiner reports of a model, and its signature under that, if it signs."""

    measured: Measured
    signature: str | None = None


def signed_vote(
    reply: Message, name: str, vote: Callable[[Measured], Vote], place: int | None
) -> Ballot | str:
    """What a node with the mod measured, signed if it signs; or why that is no vote.

    Parameters
    ----------
    vote : callable
        The statement that it should have signed, given what it measured.
    """
    measured = _measured(reply, place)
    if measured is None:
        return "its mod told no number that it measured"
    if key_of(name) is None:
        return Ballot(measured=measured)
    signature = _told(reply, "signatures", place)
    if not attests(name, vote(measured), signature):
        return "there is no signature of the examiner's under what it measured"
    return Ballot(measured=measured, signature=str(signature))


def _measured(reply: Message, place: int | None) -> Measured | None:
    value = _told(reply, "values", place)
    if _told(reply, "voted", place) is not True or not isinstance(value, float):
        return None
    error, cases = _told(reply, "errors", place), _told(reply, "cases", place)
    return Measured(
        value=value if math.isfinite(value) else None,
        error=error if isinstance(error, float) and 0 <= error < math.inf else None,
        cases=cases if type(cases) is int and 0 <= cases <= 2**53 else None,
    )


def _told(reply: Message, name: str, place: int | None) -> object:
    """What a reply says of the model in a place, or of the only one."""
    values, number = _said(reply).get(name), 0 if place is None else place
    return values[number] if isinstance(values, list) and number < len(values) else None


def seen_told(message: Message) -> int | None:
    """How many blocks the chain had whose head a node last saw; None where it does not say."""
    seen = _said(message).get("seen")
    return seen if type(seen) is int and 0 <= seen <= 2**53 else None


def refusal_told(message: Message) -> str | None:
    """Why a node's memory did not let it do what it was asked."""
    refused = _said(message).get("refused")
    return legible(refused) if isinstance(refused, str) and refused else None


def holds_told(message: Message) -> tuple[str, ...] | None:
    """Which models a node says it holds, by the beginnings of their hashes; None without mod."""
    held = _said(message).get("holds")
    if not isinstance(held, str):
        return None
    last = held[-MOST_MODELS * (PREFIX + 1) :]
    return tuple(each for each in last.split(",") if len(each) == PREFIX)


def role_told(message: Message) -> str:
    """What a node is willing to do; both where it does not say."""
    role = _said(message).get("role")
    return role if isinstance(role, str) and role in ROLES else BOTH


def is_missing(message: Message) -> bool:
    """Whether a node says that it does not hold what a parcel builds on."""
    return "missing" in _said(message)


def failure_told(message: Message) -> str | None:
    """What a ClientApp raised on one of several models that it was asked about."""
    failed = _said(message).get("failed")
    return failed if isinstance(failed, str) and failed else None


def nonces_told(tagged: Mapping[int, Message]) -> dict[int, str]:
    """The hash of the newest nonce of everybody who told one."""
    hashes = {index: _said(message).get("nonce-hash") for index, message in tagged.items()}
    return {index: str(hash) for index, hash in hashes.items() if is_hash(hash)}


def opening_told(message: Message, name: str, at: Moment) -> tuple[str, str] | None:
    """The nonce that a participant opened at a moment, and its signature."""
    said = _said(message)
    nonce, signature = said.get("nonce"), said.get("signature")
    if not is_hash(nonce):
        return None
    opening = Opening(at=at, nonce=str(nonce))
    return (opening.nonce, str(signature)) if attests(name, opening, signature) else None


def _said(message: Message) -> Mapping[str, object]:
    """What the mod attached to a reply."""
    # Not `content.config_records`: its views keep what they showed alive.
    record = message.content.get("relay")
    return record if isinstance(record, ConfigRecord) else {}
