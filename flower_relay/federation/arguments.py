"""What `RelayStrategy` is given, checked before the first message goes out.

A wrong argument is the user's own, and is refused by name: what was expected, what was found
and how to mend it. What participants send is another matter, and is judged where it arrives.
"""

from __future__ import annotations

import math
import numbers
import secrets
from collections.abc import Iterable, Mapping
from logging import WARNING

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common import log

from ..errors import ConfigurationError
from ..mechanism.identity import is_hash
from ..mechanism.parsing import shown
from ..settings import RelaySettings
from ..wire.arrays import RESERVED, array_of
from .progress import ProgressDisplay
from .record import RelayObserver

__all__ = [
    "check_arguments",
    "check_lanes",
    "checked_metrics",
    "checked_run_id",
    "chosen_observers",
    "chosen_settings",
    "warn_if_short",
]

_NOT_STARTED = "Nothing was sent."


def chosen_settings(settings: RelaySettings | None, options: Mapping[str, object]) -> RelaySettings:
    """The settings of a strategy: given all at once, or by name.

    Raises
    ------
    ConfigurationError
        When both are given, `settings` is something else, or an option will not do.
    """
    if settings is None:
        return RelaySettings.from_mapping(options)
    if not isinstance(settings, RelaySettings):
        raise ConfigurationError(
            f"settings = {shown(settings)}: expected RelaySettings(...). Give settings by name "
            "otherwise, as in RelayStrategy(lanes=2, seed=1)."
        )
    if options:
        names = ", ".join(sorted(options))
        raise ConfigurationError(
            f"RelaySettings(...) and {names} were given together: expected one or the other, "
            f"since one would overrule the other. Put {names} into RelaySettings(...)."
        )
    return settings


def check_arguments(
    initial_arrays: object,
    num_rounds: object,
    timeout: object,
    train_config: object = None,
    evaluate_config: object = None,
    evaluate_fn: object = None,
) -> None:
    """Refuse what a run cannot begin with.

    Parameters
    ----------
    initial_arrays : flwr.app.ArrayRecord
        At least one number, no NaN. An infinity is allowed: a constant mask may hold it.
    num_rounds : int
        At least 1.
    timeout : float
        Seconds, above 0.
    train_config, evaluate_config : flwr.app.ConfigRecord or mapping, optional
        What is sent along.
    evaluate_fn : callable, optional
        Evaluates the champion at the server.

    Raises
    ------
    ConfigurationError
        Naming the argument, what was expected, what was found and the cure.
    """
    _check_rounds(num_rounds)
    _check_timeout(timeout)
    _check_config("train_config", train_config)
    _check_config("evaluate_config", evaluate_config)
    _check_arrays(initial_arrays)
    if evaluate_fn is not None and not callable(evaluate_fn):
        raise ConfigurationError(
            f"evaluate_fn = {shown(evaluate_fn)}: expected a function of a round's number and an "
            f"ArrayRecord. {_NOT_STARTED} Leave it out where nothing is to be evaluated here."
        )


def chosen_observers(observers: object) -> tuple[RelayObserver, ...]:
    """The observers of a strategy: as given, or the progress display.

    Raises
    ------
    ConfigurationError
        When they are no list of observers.
    """
    if observers is None:
        return (ProgressDisplay(),)
    found = tuple(observers) if isinstance(observers, Iterable) else (observers,)
    for each in found:
        if isinstance(observers, Iterable) and isinstance(each, RelayObserver):
            continue
        raise ConfigurationError(
            f"observers = {shown(observers)}: expected a list of RelayObserver, found "
            f"{_kind_of(each)}. Write observers=[MyObserver()] with a subclass of RelayObserver."
        )
    return found


def checked_metrics(name: str, found: object) -> MetricRecord | None:
    """What a function of the user's returned for metrics.

    Raises
    ------
    ConfigurationError
        When it is neither a MetricRecord nor None.
    """
    if found is None or isinstance(found, MetricRecord):
        return found
    raise ConfigurationError(
        f"{name} returned {shown(found)}: expected a MetricRecord, or None for none. Write "
        'MetricRecord({"accuracy": 0.9}).'
    )


def checked_run_id(run_id: object) -> str:
    """The number that a run is told by, drawn where none is given.

    Raises
    ------
    ConfigurationError
        When it is something else than 32 bytes in lower-case hex.
    """
    if run_id is None:
        return secrets.token_hex(32)
    if not is_hash(run_id):
        raise ConfigurationError(
            f"run_id = {shown(run_id)}: expected 32 bytes in lower-case hex. {_NOT_STARTED} Leave "
            "it out, and one is drawn at random."
        )
    return str(run_id)


def check_lanes(settings: RelaySettings, nodes: int) -> None:
    """Refuse more lanes than there are nodes to begin with: some would have nobody.

    Raises
    ------
    ConfigurationError
        Naming both numbers.
    """
    lanes = settings.lanes
    if settings.topology == "chain" and isinstance(lanes, int) and lanes > nodes:
        raise ConfigurationError(
            f"lanes = {lanes}: expected at most as many lanes as nodes, found {nodes} nodes "
            f"connected. {_NOT_STARTED} Take lanes = {nodes} or fewer; where more nodes are "
            f"still to connect, set min_available_nodes = {lanes}, and the run waits for them."
        )


def warn_if_short(settings: RelaySettings, num_rounds: int, participants: int) -> None:
    """A round of Flower's strategies trains many; a round of a relay trains one leg a lane."""
    if settings.topology == "chain" and num_rounds < participants:
        log(
            WARNING,
            "num_rounds = %d with %d participants: a round of a relay is one leg of one to %d "
            "hops in each lane, so not everybody will train. For as many trainings as three "
            "rounds of FedAvg set budget = %d and num_rounds to the same.",
            *(num_rounds, participants, settings.max_leg, 3 * participants),
        )


def _check_rounds(value: object) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < 1:  # type: ignore[call-overload]
        raise ConfigurationError(
            f"num_rounds = {shown(value)}: expected a whole number, at least 1. {_NOT_STARTED} "
            "To end a run after so many trainings, set budget."
        )


def _check_timeout(value: object) -> None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]
        raise ConfigurationError(
            f"timeout = {shown(value)}: expected seconds, a finite number above 0. "
            f"{_NOT_STARTED} Every message needs a deadline, since a node may never answer; "
            "3600 is the default."
        )


def _check_config(name: str, config: object) -> None:
    if config is None:
        return
    if not isinstance(config, Mapping):
        raise ConfigurationError(
            f"{name} = {shown(config)}: expected a ConfigRecord. {_NOT_STARTED} Write "
            f'{name}=ConfigRecord({{"lr": 0.1}}).'
        )
    for key, value in config.items():
        try:
            ConfigRecord({key: value})
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"{name}[{shown(key)}] = {shown(value)}: expected a text as the key, and a "
                "number, text, truth, bytes or a list of one of these as the value. "
                f"{_NOT_STARTED} Change it, or leave it out."
            ) from None


def _check_arrays(record: object) -> None:
    if not isinstance(record, ArrayRecord):
        raise ConfigurationError(
            f"initial_arrays: expected an ArrayRecord, found {_kind_of(record)}. {_NOT_STARTED} "
            f"{_wrapped(record)}"
        )
    numbers_there = 0
    for name, packed in record.items():
        _check_name(name)
        numbers_there += _check_array(name, packed)
    if not numbers_there:
        found = f"{len(record)} arrays of no numbers" if record else "an empty one"
        raise ConfigurationError(
            f"initial_arrays: expected an ArrayRecord with at least one number, found {found}. "
            f"{_NOT_STARTED} Write ArrayRecord(model.state_dict()) with the model to begin with. "
            "A model that is empty at first and grows, as one of trees, cannot be relayed."
        )


def _kind_of(value: object) -> str:
    kind = type(value)
    plain = kind.__module__ == "builtins"
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def _wrapped(value: object) -> str:
    """How to make an ArrayRecord of what was given instead."""
    if isinstance(value, RecordDict):
        return 'Give the one record in it, as in content["arrays"].'
    if isinstance(value, Mapping):
        return "Write ArrayRecord(model.state_dict()); of numpy arrays by name make Array(array)."
    if isinstance(value, list | tuple):
        return "Write ArrayRecord([array, ...]) with numpy arrays."
    return "Write ArrayRecord(model.state_dict()), or ArrayRecord([array, ...]) with numpy arrays."


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        sayable = False
    else:
        sayable = name not in ("", RESERVED)
    if not sayable:
        raise ConfigurationError(
            f"initial_arrays[{shown(name)}]: expected a name of at least one character, in valid "
            f"Unicode, other than {RESERVED!r}, which safetensors keeps for itself. "
            f"{_NOT_STARTED} Rename that array, in the ClientApp as well."
        )


def _check_array(name: str, packed: Array) -> int:
    """How many numbers an array has; a ConfigurationError where it will not do."""
    try:
        array = array_of(packed)
    except (TypeError, ValueError) as problem:
        raise ConfigurationError(
            f"initial_arrays[{shown(name)}]: expected a whole numpy array of numbers, but "
            f"{problem}. {_NOT_STARTED} Make it anew, as in Array(numpy_array)."
        ) from None
    if array.dtype.kind in "fc" and np.isnan(array).any():
        missing = int(np.isnan(array).sum())
        raise ConfigurationError(
            f"initial_arrays[{shown(name)}]: expected numbers, found NaN at {missing} of "
            f"{array.size} places. {_NOT_STARTED} Nobody could train on that: look at how the "
            "model is initialised, or at the file that it was read from."
        )
    return array.size
