"""Names that users import keep working where their modules have moved."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import flower_relay
from flower_relay.aliases import BECAME


@pytest.mark.parametrize("former", BECAME)
def test_a_module_is_found_under_its_former_name(former: str) -> None:
    assert importlib.import_module(f"flower_relay.{former}") is not None
    for name in BECAME[former]:
        assert importlib.import_module(f"flower_relay.{name}").__spec__.name.endswith(name)


def test_what_moved_whole_is_the_module_itself() -> None:
    import flower_relay.blocks as before

    import flower_relay.mechanism.blocks as now

    assert before is now


def test_names_of_a_module_that_was_divided_are_found_where_they_went() -> None:
    from flower_relay.state import apply as former
    from flower_relay.statements import Vote
    from flower_relay.statements import participant_name as former_name

    from flower_relay.mechanism.apply import apply
    from flower_relay.mechanism.identity import participant_name

    assert (former, former_name) == (apply, participant_name)
    assert Vote.__module__ == "flower_relay.wire.statements"
    with pytest.raises(ImportError, match="nobody"):
        from flower_relay.state import nobody  # noqa: F401


def test_every_public_name_is_there() -> None:
    for name in flower_relay.__all__:
        assert getattr(flower_relay, name) is not None


def test_the_ledger_imports_nothing_of_flower() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('flwr', 'torch', 'ray')))\n"
        "import flower_relay.ledger, flower_relay.ledger.verify, flower_relay.ledger.receipts\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
