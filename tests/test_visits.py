"""What is sent depends on what nodes hold; what is decided, and the ledger, does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp.mod import LocalDpMod

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.mechanism.blocks import Commitment
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.node.mod import make_relay_mod, relay_mod
from flower_relay.store import MemoryStore
from flower_relay.wire.deltas import decode, encode
from flower_relay.wire.parcels import PARCEL, steps_of
from tests.signers import NODES, OPTIONS, Asking, descending, found_in, play, same_run, verify

App = Callable[[Message, Context], Message]
SILENT_MOD = make_relay_mod(lasting_keys_only=True)
WIDTH = 600


class Hoard(MemoryStore):
    """Keeps every model."""

    def keep_only(self, names: Iterable[str]) -> None:
        pass


def relayed(
    app: App, *, rounds: int = 6, forgets: bool = False, **options: Any
) -> tuple[RelayStrategy, Hoard]:
    """A run of `descending`, whose losses differ by weight so that changes need rounding."""
    grid, store = InMemoryGrid(app, NODES), Hoard()
    if forgets:
        for context in grid._contexts.values():
            context.node_config["relay-cache-bytes"] = 0
    strategy = RelayStrategy(store=lambda: store, **OPTIONS | same_run() | options)
    start = ArrayRecord({"w": Array(np.linspace(-1, 0.5, WIDTH))})
    strategy.start(grid, start, num_rounds=rounds, timeout=20)
    return strategy, store


def examinations(strategy: RelayStrategy) -> list[Examined]:
    return [block for block in strategy.chain if isinstance(block, Examined)]


def test_exact_in_a_run_where_nobody_signs_the_mod_changes_nothing_but_the_bytes() -> None:
    with_mod, _ = relayed(descending((SILENT_MOD,)), test_encoding="exact")
    without, _ = relayed(descending(()), test_encoding="exact")
    assert with_mod.chain.head == without.chain.head
    assert with_mod.record.messages < without.record.messages
    assert with_mod.record.bytes_tests < without.record.bytes_tests


def test_without_the_mod_everything_is_shown_as_it_is() -> None:
    strategy, _ = relayed(descending(()))
    assert all(block.shown == () for block in examinations(strategy))


def test_an_examiner_is_visited_once_a_test() -> None:
    strategy, _ = relayed(descending((SILENT_MOD,)))
    visits = sum(len(block.committee) for block in examinations(strategy))
    hops = len(strategy.record.hops)
    assert strategy.record.messages <= NODES + hops + visits


@pytest.mark.parametrize("encoding", ["int8", "fp16"])
def test_a_likeness_is_the_likeness_of_the_legs_base_plus_the_rounded_change(
    encoding: str,
) -> None:
    strategy, store = relayed(descending((SILENT_MOD,)), planted=0.0, test_encoding=encoding)
    likeness: dict[str, str] = {}
    checked = 0
    for block in strategy.chain:
        if isinstance(block, Commitment):
            base = block.lanes[0][0].base
        if isinstance(block, Examined):
            for model, shown in zip(block.models, block.shown, strict=True):
                near = store.get(likeness.get(base, base))
                rounded = decode(encode(store.get(model), near, encoding), near, encoding)
                expected = rounded if model != base else near
                assert np.array_equal(store.get(shown)["w"], expected["w"])
                likeness[model] = shown
                checked += model != shown
                off = np.abs(store.get(shown)["w"] - store.get(model)["w"]).max()
                assert off < 0.005  # errors do not add up along the chain
    assert checked > 6


def test_what_nodes_hold_does_not_show_in_the_ledger() -> None:
    holding, _ = relayed(descending((SILENT_MOD,)))
    forgetful, _ = relayed(descending((SILENT_MOD,)), forgets=True)
    assert holding.chain.head == forgetful.chain.head
    assert holding.record.bytes_tests < forgetful.record.bytes_tests
    assert holding.record.bytes_hops < forgetful.record.bytes_hops


def test_who_lost_its_models_says_so_and_is_sent_them_whole() -> None:
    app = descending((SILENT_MOD,))
    asked: Counter[str] = Counter()

    def losing(message: Message, context: Context) -> Message:
        asked[message.metadata.message_type] += 1
        if asked.total() % 3 == 0:
            context.state.clear()
        reply = app(message, context)
        asked["missing"] += "missing" in reply.content["relay"]
        return reply

    strategy, _ = relayed(losing)
    calm, _ = relayed(app)
    assert asked["missing"] > 3
    assert strategy.chain.head == calm.chain.head


def test_who_says_again_and_again_that_it_lost_its_models_is_asked_twice() -> None:
    app = descending((SILENT_MOD,))

    def lost(message: Message, context: Context) -> Message:
        reply = app(message, context)
        hello = "relay-hello" in message.content["config"]
        if context.node_config["partition-id"] == 2 and not hello:
            reply.content = RecordDict({"relay": ConfigRecord({"missing": "0" * 16})})
        return reply

    strategy, _ = relayed(lost, rounds=9)
    outcomes = {hop.outcome for hop in strategy.record.hops if hop.trainer == 2}
    assert outcomes == {"mis-shaped"}
    assert verify(strategy.chain).ok


def test_with_and_without_the_mod_all_are_shown_the_same(tmp_path: Path) -> None:
    signing, plain, silent = descending(), descending(()), descending((SILENT_MOD,))
    seen: dict[bytes, set[int]] = {}

    def watched(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        if message.metadata.message_type == "evaluate":
            for one in message.content.values():
                if isinstance(one, ArrayRecord):
                    seen.setdefault(one["w"].data, set()).add(number)
        return (signing if number < 3 else plain if number < 5 else silent)(message, context)

    strategy = play(watched, tmp_path, rounds=6, examiners=NODES)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.votes_signed > 0 < verdict.votes_attested
    assert any(block.shown for block in examinations(strategy))
    for block in examinations(strategy):
        for row in block.utilities:
            assert None not in row


@pytest.mark.parametrize("place", [0, -1])
def test_something_else_said_to_have_been_shown_is_found(tmp_path: Path, place: int) -> None:
    blocks = list(play(descending(), tmp_path).chain)
    at = next(
        number
        for number, block in enumerate(blocks)
        if isinstance(block, Examined) and block.shown and block.round > 1
    )
    block = blocks[at]
    assert isinstance(block, Examined)
    shown = list(block.shown)
    shown[place] = "5e" * 32
    for forged, field in ((tuple(shown), None), (shown[1:], "testing.shown"), ((), None)):
        found = found_in([*blocks[:at], replace(block, shown=tuple(forged))])
        assert found[0] == at
        assert found[1].startswith("testing.s") if field is None else found[1] == field


@pytest.mark.parametrize("encoding", ["fp16", "int8"])
def test_a_rounded_hop_is_its_base_plus_the_rounded_change_and_nothing_gets_lost(
    encoding: str,
) -> None:
    wanted = np.linspace(0, 1, WIDTH) ** 3

    def app(message: Message, context: Context) -> Message:
        content = RecordDict({"arrays": ArrayRecord({"w": Array(start["w"] + wanted)})})
        return Message(content, reply_to=message)

    start = {"w": np.zeros(WIDTH)}
    node = Context(1, 1, {"partition-id": 0}, RecordDict(), {})
    total = np.zeros(WIDTH)
    for _ in range(20):
        config = ConfigRecord(Asking().grow().told(1) | {"relay-up": encoding})
        content = {"arrays": ArrayRecord({"w": Array(start["w"])}), "config": config}
        message = Message(RecordDict(content), 1, "train")
        [step] = steps_of(SILENT_MOD(message, node, app).content[PARCEL])
        assert step.encoding == encoding
        total += decode(step.data, start, encoding)["w"]
    level = 1 / 127 if encoding == "int8" else 1 / 1000
    assert np.abs(total - 20 * wanted).max() < level  # not twenty of them


@pytest.mark.parametrize(
    ("encoding", "change"), [("fp16", 1e-9), ("fp16", 1e6), ("int8", 1e-60), ("int8", 1e300)]
)
def test_a_change_that_rounding_would_lose_is_handed_on_exactly(
    encoding: str, change: float
) -> None:
    def app(message: Message, context: Context) -> Message:
        content = RecordDict({"arrays": ArrayRecord({"w": Array(np.full(WIDTH, change))})})
        return Message(content, reply_to=message)

    config = ConfigRecord(Asking().grow().told(1) | {"relay-up": encoding})
    start = {"w": np.zeros(WIDTH)}
    content = RecordDict({"arrays": ArrayRecord({"w": Array(start["w"])}), "config": config})
    node = Context(1, 1, {"partition-id": 0}, RecordDict(), {})
    [step] = steps_of(SILENT_MOD(Message(content, 1, "train"), node, app).content[PARCEL])
    assert step.encoding == "exact"
    assert decode(step.data, start, "exact")["w"].tolist() == [change] * WIDTH


@pytest.mark.parametrize("encoding", ["fp16", "int8"])
def test_rounded_hops_are_accepted_under_their_own_hash(encoding: str, tmp_path: Path) -> None:
    strategy = play(descending(), tmp_path, rounds=6, hop_encoding=encoding)
    outcomes = {hop.outcome for hop in strategy.record.hops}
    assert "accepted" in outcomes and outcomes <= {"accepted", "rejected", "voided"}
    verdict = verify(strategy.chain)
    assert verdict.ok and verdict.hops_attested == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": [b"garbage"]},
        {"models": ["5e" * 32]},
        {"references": ["5e" * 32]},
        {"encodings": ["whole"]},
        {"models": ["short"]},
        {"models": [], "references": [], "encodings": [], "data": []},
    ],
)
def test_a_trainers_parcel_that_leads_nowhere_is_mis_shaped(wrong: dict[str, Any]) -> None:
    app = descending((SILENT_MOD,))

    def broken(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if context.node_config["partition-id"] == 2 and PARCEL in reply.content:
            reply.content[PARCEL] = ConfigRecord({**reply.content[PARCEL], **wrong})
            if not wrong["models" if "models" in wrong else next(iter(wrong))]:
                reply.content[PARCEL] = ConfigRecord()
        return reply

    strategy, _ = relayed(broken, rounds=9)
    outcomes = {hop.outcome for hop in strategy.record.hops if hop.trainer == 2}
    assert outcomes == {"mis-shaped"}
    assert "accepted" in {hop.outcome for hop in strategy.record.hops}


def test_an_app_that_fails_on_one_model_votes_on_the_others() -> None:
    inner = descending(())
    calls: Counter[int] = Counter()

    def failing(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        calls[number] += message.metadata.message_type == "evaluate"
        if number == 2 and message.metadata.message_type == "evaluate" and calls[number] % 2:
            raise RuntimeError("no memory left")
        return inner(message, context)

    def app(message: Message, context: Context) -> Message:
        return SILENT_MOD(message, context, failing)

    calls[2] = 1  # it answers first contact
    strategy, _ = relayed(app, examiners=NODES)
    rows = [
        row[block.committee.index(2)]
        for block in examinations(strategy)
        if 2 in block.committee
        for row in block.utilities
    ]
    assert None in rows and any(value is not None for value in rows)
    assert verify(strategy.chain).ok


def test_with_flowers_local_privacy_behind_it_the_mod_signs_and_sends_what_has_noise(
    tmp_path: Path,
) -> None:
    exact: list[np.ndarray] = []
    trained = descending(())

    def app(message: Message, context: Context) -> Message:
        reply = trained(message, context)
        if "arrays" in reply.content:
            exact.append(reply.content["arrays"]["w"].numpy())
        return reply

    private = LocalDpMod(clipping_norm=1.0, sensitivity=0.01, epsilon=5.0, delta=1e-5)

    def noisy(message: Message, context: Context) -> Message:
        if message.metadata.message_type == "train":  # as by @app.train(mods=[...])
            return relay_mod(message, context, lambda m, c: private(m, c, app))
        return relay_mod(message, context, app)

    store = Hoard()
    strategy = play(noisy, tmp_path, rounds=3, store=lambda: store)
    verdict = verify(strategy.chain)
    assert verdict.ok and verdict.hops_signed == len(exact) > 0
    claims = [c for b in strategy.chain if isinstance(b, Commitment) for c in b.lanes[0]]
    for claim, without_noise in zip(claims, exact, strict=True):
        handed_on = store.get(str(claim.model))["w"]
        assert np.abs(handed_on - without_noise).max() > 1e-4


def test_hops_and_tests_are_counted_apart() -> None:
    strategy, _ = relayed(descending((SILENT_MOD,)))
    record = strategy.record
    assert record.bytes_hops > 0 < record.bytes_tests
    assert record.bytes_hops + record.bytes_tests == record.bytes_sent + record.bytes_received


@pytest.mark.parametrize("mod", [True, False])
@pytest.mark.parametrize("encoding", ["exact", "fp16", "int8"])
def test_masks_scalars_and_tables_travel_beside_the_weights(encoding: str, mod: bool) -> None:
    trained = descending(())
    extra = {
        "mask": np.triu(np.full((4, 4), -np.inf, np.float32), 1),
        "least": np.array(np.finfo(np.float32).min),
        "t": np.array(2.5, np.float32),
        "n": np.array(3),
        "e": np.zeros((0, 5), np.float16),
        "table": np.arange(10**12, 10**12 + 10),
    }

    def app(message: Message, context: Context) -> Message:
        reply = trained(message, context)
        if message.metadata.message_type == "train":
            given = message.content["arrays"]
            kept = {name: Array(given[name].numpy()) for name in extra if name not in ("t", "n")}
            kept["t"] = Array(np.array(given["t"].numpy() + np.float32(0.25)))
            kept["n"] = Array(np.array(given["n"].numpy() + 1))
            reply.content["arrays"] = ArrayRecord({**reply.content["arrays"], **kept})
        return reply

    def relayed_app(message: Message, context: Context) -> Message:
        return relay_mod(message, context, app) if mod else app(message, context)

    store = Hoard()
    chosen = {"test_encoding": encoding, "hop_encoding": encoding, "planted": 0.0}
    strategy = RelayStrategy(store=lambda: store, **OPTIONS | chosen)
    arrays = {"w": np.linspace(-1, 0.5, WIDTH), **extra}
    start = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    strategy.start(InMemoryGrid(relayed_app, NODES), start, num_rounds=6, timeout=20)
    assert {hop.outcome for hop in strategy.record.hops} == {"accepted"}
    claims = [c for b in strategy.chain if isinstance(b, Commitment) for c in b.lanes[0]]
    for claim in claims:
        model = store.get(str(claim.model))
        for still in ("mask", "least", "e", "table"):
            assert model[still].tobytes() == extra[still].tobytes()
            assert model[still].shape == extra[still].shape
        assert model["t"].shape == model["n"].shape == ()
