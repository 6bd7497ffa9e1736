"""A node's memory: it signs one thing in one place, says the same again, and follows no fork."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, Context, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.errors import KeyFileError, NotEnoughParticipantsError
from flower_relay.ledger.chain import MemoryChain
from flower_relay.ledger.keys import OperatorKey
from flower_relay.wire.parcels import PARCEL, steps_of
from tests.nodes import a_node, ask, name_of, record, said, tiny_app, weights
from tests.signers import Asking, descending, verify

OTHER = OperatorKey(Ed25519PrivateKey.from_private_bytes(b"\3" * 32))


@pytest.fixture(params=["in the state", "in a file"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Context:
    return a_node() if request.param == "in the state" else a_node(relay_key=str(tmp_path / "k"))


def train(node: Context, terms: dict[str, Any], value: float, app: Any = None) -> Message:
    return ask(app or tiny_app(), node, "train", terms | {"relay-up": "exact"}, weights(value))


def vote(node: Context, terms: dict[str, Any], value: float) -> Message:
    return ask(tiny_app(), node, "evaluate", terms | {"relay-metric": "eval_loss"}, weights(value))


def test_one_hop_is_signed_in_a_round_of_a_run_and_the_same_question_gets_the_same_answer(
    node: Context,
) -> None:
    chain = Asking().grow()
    first, again = (train(node, chain.told(1), 1) for _ in range(2))
    assert said(again)["signature"] == said(first)["signature"]
    steps = [steps_of(reply.content[PARCEL])[0] for reply in (first, again)]
    assert [step.model for step in steps] == [name_of(2)] * 2
    refused = said(train(node, chain.told(1), 5))
    assert "one in a round" in refused["refused"] and "signature" not in refused
    assert said(train(node, chain.grow().told(2), 5))["signature"]
    assert said(train(node, Asking("b2" * 32).grow().told(1), 5))["signature"]


def test_a_hop_that_is_lost_and_trains_to_something_else_is_not_signed_twice(
    tmp_path: Path,
) -> None:
    node, chain = a_node(relay_key=str(tmp_path / "k")), Asking().grow()
    other = tiny_app(result=record(weights(9)))
    assert said(train(node, chain.told(1), 1))["signature"]
    (tmp_path / "k.result").unlink()
    assert "the first is not kept" in said(train(node, chain.told(1), 1, other))["refused"]
    assert said(train(node, chain.told(1), 1))["signature"]  # it trains to the same


def test_one_value_is_said_of_a_model_whenever_it_is_asked(node: Context) -> None:
    chain = Asking().grow()
    first, again = (said(vote(node, chain.told(1), 2)) for _ in range(2))
    assert (again["values"], again["signatures"]) == (first["values"], first["signatures"])
    later = said(vote(node, chain.grow().told(2), 2))
    assert later["values"] == first["values"] and later["signatures"] != first["signatures"]
    asked = chain.told(2) | {"relay-metric": "num-examples"}
    refused = said(ask(tiny_app(), node, "evaluate", asked, weights(2)))
    assert "vote on model" in refused["refused"] and "signatures" not in refused


def test_the_head_has_to_grow_from_the_one_that_was_shown(node: Context) -> None:
    chain, fork = Asking().grow().grow(), Asking().grow().grow("88" * 32).grow()
    assert said(train(node, chain.told(1), 1))["seen"] == 2
    for terms, why in (
        (chain.told(1, height=1), "rolled back"),
        (chain.told(0), "rolled back"),
        (fork.told(2), "two ledgers"),
        (fork.told(2, height=2), "two ledgers"),
        (chain.grow().told(2, seen=3), "too few links"),
    ):
        answer = said(train(node, terms, 3))
        assert why in answer["refused"] and "signature" not in answer
    assert said(train(node, chain.told(2), 3))["seen"] == 3
    assert said(train(node, chain.grow().told(3, seen=3), 3))["seen"] == 4


def test_the_first_operator_is_trusted_and_no_other_and_it_is_said(
    node: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chain = Asking().grow()
    assert said(train(node, chain.told(1), 1))["signature"]
    assert f"trusts the operator whose key is {chain.key.public}" in caplog.text
    refused = said(train(node, Asking("c3" * 32, OTHER).grow().told(1), 1))["refused"]
    assert OTHER.public in refused
    assert OTHER.public in caplog.text


def test_a_memory_in_a_file_outlasts_the_node_and_a_damaged_one_signs_nothing(
    tmp_path: Path,
) -> None:
    chain, path = Asking().grow(), tmp_path / "k"
    first, again = (
        said(train(a_node(relay_key=str(path)), chain.told(1), 1))["signature"] for _ in range(2)
    )
    assert first == again
    assert "refused" in said(train(a_node(relay_key=str(path)), chain.told(1), 4))
    for damage in (b"", b"{", b"[]", b'{"version": 9}', b'{"runs": {"x": {"odd": 1}}}', b"\xff"):
        path.with_suffix(".memory").write_bytes(damage)
        with pytest.raises(KeyFileError, match=r"k\.memory"):
            train(a_node(relay_key=str(path)), chain.told(2), 1)


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["train", "evaluate"]),
        st.integers(1, 3),  # the round
        st.integers(1, 3),  # the height
        st.integers(0, 1),  # the fork
        st.integers(0, 2),  # the model
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS)
def test_whatever_is_asked_in_whatever_order_nothing_contradictory_is_signed(
    requests: list[tuple[str, int, int, int, int]],
) -> None:
    forks = [Asking().grow().grow(link).grow(link) for link in ("77" * 32, "88" * 32)]
    node = a_node()
    hops: set[tuple[int, str, int]] = set()
    votes: set[tuple[int, str, int]] = set()
    heads: dict[int, str] = {}
    for kind, round, height, fork, value in requests:
        terms = forks[fork].told(round, height=height)
        answer = said((train if kind == "train" else vote)(node, terms, value))
        if "refused" in answer:
            continue
        head = forks[fork].heads[height]
        assert heads.setdefault(height, head) == head and height == max(heads)
        (hops if kind == "train" else votes).add((round, head, value))
    assert len({round for round, _, _ in hops}) == len(hops)
    assert len({(round, value) for round, _, value in votes}) == len(votes)


def runs_in_memory(keys: Path, **options: Any) -> RelayStrategy:
    """A run whose participants have keys in files, and whose ledger is in memory."""
    grid = InMemoryGrid(descending(), 5, run_config={"relay-keys-dir": str(keys)})
    strategy = RelayStrategy(seed=3, examiners=2, max_leg=1, **options)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=2, timeout=20)
    return strategy


def test_runs_in_memory_of_one_process_have_one_operator_that_participants_trust_again(
    tmp_path: Path,
) -> None:
    first, second = runs_in_memory(tmp_path), runs_in_memory(tmp_path)
    assert first.chain.key.public == second.chain.key.public
    assert all(verify(strategy.chain).ok for strategy in (first, second))


def test_another_process_is_told_to_keep_its_operators_key_and_is_trusted_once_it_does(
    tmp_path: Path,
) -> None:
    def chain() -> MemoryChain:
        return MemoryChain(OperatorKey.load_or_create(tmp_path / "operator.key"))

    keys = tmp_path / "keys"
    runs_in_memory(keys, chain=chain)
    with pytest.raises(NotEnoughParticipantsError, match=r"MemoryChain\(OperatorKey\.load_or_cre"):
        runs_in_memory(keys)  # as in another process, the key is not the one from the file
    assert verify(runs_in_memory(keys, chain=chain).chain).ok
