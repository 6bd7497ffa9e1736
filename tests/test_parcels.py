"""A node takes from a parcel only the models that it names, and keeps a bounded number of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, RecordDict

from flower_relay.errors import ConfigurationError, RefusedError
from flower_relay.federation.holdings import Forwarding
from flower_relay.node.cache import cache_of
from flower_relay.store import MemoryStore, canonical_bytes, model_name
from flower_relay.wire.deltas import encode
from flower_relay.wire.parcels import (
    PREFIX,
    WHOLE,
    Step,
    difference_to,
    parcel_of,
    steps_of,
    taken,
    whole,
)


def model(value: float, size: int = 4) -> dict[str, np.ndarray]:
    return {"w": np.full(size, value, np.float32)}


def name_of(arrays: dict[str, np.ndarray]) -> str:
    return model_name(canonical_bytes(arrays))


def step(value: float, base: float) -> Step:
    data = encode(model(value), model(base), "exact")
    return difference_to(name_of(model(base)), name_of(model(value)), "exact", data)


HELD = {name_of(model(value)): model(value) for value in (0.0, 1.0)}


def test_steps_come_out_of_a_parcel_as_they_went_in() -> None:
    steps = [step(2.0, 1.0), whole(name_of(model(3.0)), canonical_bytes(model(3.0)))]
    assert steps_of(parcel_of(steps)) == steps
    assert steps_of(parcel_of([])) == []


def test_a_step_leads_to_the_model_it_names() -> None:
    for one in (step(2.0, 1.0), whole(name_of(model(2.0)), canonical_bytes(model(2.0)))):
        arrays = taken(one, HELD.get)
        assert arrays["w"].tolist() == [2.0] * 4
        assert name_of(arrays) == one.model


WRONG = name_of(model(9.0))
NAN = canonical_bytes({"w": np.array([np.nan], np.float32)})


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (difference_to(*HELD, "exact", step(1.0, 0.0).data[:-1]), "should unpack"),
        (difference_to(name_of(model(0.0)), WRONG, "exact", step(1.0, 0.0).data), "what came is"),
        (difference_to(WRONG, WRONG, "int8", b""), "which is not held"),
        (whole(WRONG, canonical_bytes(model(1.0))), "what came is model"),
        (whole(WRONG, b"\x80\x04N."), "was not accepted"),
        (whole(model_name(NAN), NAN), "there is NaN in array 'w'"),
    ],
)
def test_a_step_that_leads_elsewhere_is_refused(one: Step, found: str) -> None:
    with pytest.raises(RefusedError, match=found):
        taken(one, HELD.get)


def test_a_model_above_the_limit_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(RefusedError, match="16 bytes and 15 are accepted"):
        taken(step(2.0, 1.0), HELD.get, 15)
    with pytest.raises(RefusedError, match="100 bytes and 99 are accepted"):
        taken(whole(WRONG, b"x" * 100), HELD.get, 99)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"models": ["a"]}, "four lists of the same length"),
        ({"encodings": ["int8", "int8"]}, "four lists of the same length"),
        ({"encodings": ["pickle"]}, "one of whole, exact, fp16, int8"),
        ({"models": ["../../etc"]}, "models named by their hashes"),
        ({"references": ["../x"]}, "models named by their hashes"),
        ({"data": ["text"]}, "bytes"),
    ],
)
def test_a_parcel_that_is_none_is_refused(columns: dict[str, Any], expected: str) -> None:
    record = dict(parcel_of([step(2.0, 1.0)])) | columns
    if columns == {"models": ["a"]}:
        del record["data"]
    with pytest.raises(RefusedError, match=expected):
        steps_of(ConfigRecord(record))


# What a node keeps.


def node(**config: Any) -> Context:
    given = {key.replace("_", "-"): value for key, value in config.items()}
    return Context(1, 1, given, RecordDict(), {})


def put(context: Context, *values: float) -> None:
    for value in values:
        data = canonical_bytes(model(value))
        cache_of(context).put(model_name(data), data)


@pytest.mark.parametrize("folder", [False, True])
def test_the_last_sixteen_models_are_kept_the_used_ones_longest(
    folder: bool, tmp_path: Path
) -> None:
    context = node(relay_cache_dir=str(tmp_path / "models")) if folder else node()
    put(context, *range(16))
    first = name_of(model(0.0))
    found = cache_of(context).get(first)
    assert found is not None and found["w"].tolist() == [0.0] * 4
    put(context, 16)
    held = cache_of(context).names()
    assert len(held) == 16 and first in held and name_of(model(1.0)) not in held
    assert held[-1] == name_of(model(16.0))
    assert cache_of(context).get(name_of(model(1.0))) is None


@pytest.mark.parametrize("folder", [False, True])
def test_no_more_bytes_are_kept_than_a_nodes_config_says(folder: bool, tmp_path: Path) -> None:
    size = len(canonical_bytes(model(0.0)))
    where = {"relay_cache_dir": str(tmp_path)} if folder else {}
    context = node(relay_cache_bytes=2 * size, **where)
    put(context, 1, 2, 3)
    assert cache_of(context).names() == [name_of(model(2.0)), name_of(model(3.0))]
    nothing = node(relay_cache_bytes=0)
    put(nothing, 1)
    assert cache_of(nothing).names() == []


def test_a_file_that_was_changed_is_not_there(tmp_path: Path) -> None:
    context = node(relay_cache_dir=str(tmp_path))
    put(context, 1, 2)
    (tmp_path / f"{name_of(model(1.0))}.safetensors").write_bytes(canonical_bytes(model(2.0)))
    assert cache_of(context).get(name_of(model(1.0))) is None
    assert cache_of(context).get(name_of(model(2.0))) is not None


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"relay-cache-dir = .* expected a folder"):
        cache_of(node(relay_cache_dir=str(tmp_path / "file" / "models")))


def test_a_model_that_cannot_be_kept_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = cache_of(node(relay_cache_dir=str(tmp_path)))
    data = canonical_bytes(model(1.0))
    (tmp_path / f"{model_name(data)}.safetensors").mkdir()  # in the way
    cache.put(model_name(data), data)
    assert cache.get(model_name(data)) is None
    assert f"Model {model_name(data)[:12]} is not kept" in caplog.text


@pytest.mark.parametrize("most", ["many", -1, True, 0.5])
def test_a_size_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"relay-cache-bytes = .*a whole number"):
        cache_of(node(relay_cache_bytes=most))


# What a node is sent.


def forwarding(*values: float) -> Forwarding:
    """A server that knows how each model follows from the one before."""
    store = MemoryStore()
    for value in values:
        store.put(model(value, 4000))
    known = Forwarding(store=store)
    for base, value in itertools.pairwise(values):
        before, after = model(base, 4000), model(value, 4000)
        data = encode(after, before, "exact")
        known.learn(difference_to(name_of(before), name_of(after), "exact", data))
    return known


def names(*values: float) -> list[str]:
    return [name_of(model(value, 4000)) for value in values]


def sent(known: Forwarding, node: int, *values: float) -> list[tuple[str, str]]:
    steps = steps_of(known.parcel(node, names(*values)))
    return [(one.model, one.encoding) for one in steps]


def test_a_node_is_sent_what_it_lacks_and_no_more() -> None:
    known = forwarding(1, 2, 3, 4)
    one, two, three, four = names(1, 2, 3, 4)
    known.note({7: (two[:PREFIX],), 8: (), 9: (four[:PREFIX],), 5: None})
    assert [known.reaches(each) for each in (7, 8, 9, 5)] == [True, True, True, False]
    assert sent(known, 7, 4) == [(three, "exact"), (four, "exact")]
    assert sent(known, 7, 3, 4) == [(three, "exact"), (four, "exact")]
    assert sent(known, 7, 4, 3) == [(three, "exact"), (four, "exact")]
    assert sent(known, 9, 4) == []
    assert sent(known, 8, 3, 4) == [(three, "whole"), (four, "exact")]
    assert sent(known, 7, 1) == [(one, "whole")]


def test_a_node_that_is_far_behind_is_sent_a_whole_model() -> None:
    known = forwarding(*range(40))
    known.note({7: (names(0)[0][:PREFIX],)})
    assert len(sent(known, 7, 32)) == 32
    assert sent(known, 7, 33) == [(names(33)[0], "whole")]


def near_one(*values: float) -> Forwarding:
    """A server that knows how models follow from model 1, and a node that holds nothing."""
    known = forwarding(1)
    before = model(1, 4000)
    for value in values:
        after = model(value, 4000)
        data = encode(after, before, "exact")
        known.learn(difference_to(name_of(before), known.store.put(after), "exact", data))
    known.note({8: ()})
    return known


def test_what_several_models_are_near_is_sent_whole_once() -> None:
    known = near_one(2, 3)
    one, two, three = names(1, 2, 3)
    assert sent(known, 8, 2, 3) == [(one, "whole"), (two, "exact"), (three, "exact")]
    assert sent(known, 8, 3) == [(three, "whole")]
    known.note({8: (two[:PREFIX],)})
    assert sent(known, 8, 2, 3) == [(three, "whole")]


def test_what_several_models_are_near_may_be_gone() -> None:
    known = near_one(2, 3)
    _, two, three = names(1, 2, 3)
    known.store.keep_only([two, three])
    assert sent(known, 8, 2, 3) == [(two, "whole"), (three, "whole")]


def test_a_node_that_lacks_what_it_said_it_held_is_relied_upon_no_more() -> None:
    known = forwarding(1, 2)
    known.note({7: (names(1)[0][:PREFIX],)})
    assert sent(known, 7, 2) == [(names(2)[0], "exact")]
    assert known.forget(7)
    assert not known.forget(7)
    assert sent(known, 7, 2) == [(names(2)[0], "whole")]


def test_a_trainer_gets_every_bit_by_way_of_what_is_near() -> None:
    known = forwarding(1, 2)
    baton = model(5.0, 4000)
    known.store.put(baton)
    near = names(2)[0]
    known.note({7: (names(1)[0][:PREFIX],), 8: ()})
    parcel = known.parcel_near(7, name_of(baton), near)
    assert parcel is not None
    held = {names(1)[0]: model(1.0, 4000)}
    for one in steps_of(parcel):
        held[one.model] = taken(one, held.get)
    assert held[name_of(baton)]["w"].tolist() == baton["w"].tolist()
    whole_way = known.parcel_near(8, name_of(baton), near)
    assert whole_way is not None
    assert [(one.model, one.encoding) for one in steps_of(whole_way)] == [(name_of(baton), WHOLE)]
