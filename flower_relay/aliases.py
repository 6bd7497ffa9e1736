"""Modules under the names that they had in 0.1.0: whoever imports one gets what it became.

The package imports this first, so that `from flower_relay.blocks import Genesis` still works.
Each name is loaded when somebody asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["BECAME", "install"]

BECAME: dict[str, tuple[str, ...]] = {
    "adapter": ("transport.adapter",),
    "admission": ("federation.admit", "federation.greetings", "federation.scale"),
    "asked": ("wire.requests",),
    "blocks": ("mechanism.blocks",),
    "chain": ("ledger.chain",),
    "courier": ("transport.courier",),
    "decisions": (
        "mechanism.deposit", "mechanism.testing", "mechanism.settlement", "mechanism.publication",
        "mechanism.randomness",
    ),
    "decisions.chain": ("mechanism.leg",),
    "decisions.deposits": ("mechanism.deposit",),
    "decisions.fanout": ("mechanism.fan_out",),
    "decisions.publication": ("mechanism.publication",),
    "decisions.randomness": ("mechanism.randomness",),
    "decisions.rewards": ("mechanism.rewards",),
    "decisions.settlement": ("mechanism.settlement",),
    "decisions.tally": ("mechanism.payments",),
    "decisions.tests": ("mechanism.testing",),
    "display": ("federation.progress",),
    "durable": ("files.durable",),
    "encoding": ("wire.deltas", "settings"),
    "examining": ("federation.examine",),
    "exchange": ("node.responder",),
    "forwarding": ("federation.holdings",),
    "handing_on": ("node.update",),
    "key_files": ("files.keys",),
    "ledger.observed": ("ledger.observations",),
    "ledger.participants": ("ledger.attestation",),
    "ledger.problems": ("ledger.differences",),
    "legs": ("federation.train",),
    "likenesses": ("federation.quantised",),
    "lineage": ("mechanism.lineage",),
    "memory_grid": ("transport.in_memory",),
    "metering": ("transport.proxies",),
    "model_cache": ("node.cache", "wire.parcels"),
    "parcels": ("wire.parcels",),
    "parsing": ("mechanism.parsing",),
    "participant_keys": ("node.keys",),
    "passing": ("transport.proxies",),
    "patience": ("transport.proxies",),
    "publishing": ("federation.publish", "mechanism.averages"),
    "record": ("federation.record",),
    "regular_files": ("files.regular",),
    "report.comparison": ("comparison.page",),
    "resuming": ("federation.resume",),
    "rules.generations": ("economy.generations",),
    "rules.merkle": ("mechanism.merkle",),
    "rules.testing": ("rules.votes", "rules.audits", "rules.candidates", "rules.gate"),
    "running": ("federation.run", "mechanism.apply", "federation.record"),
    "signing": ("federation.nonces", "federation.votes", "wire.requests", "wire.replies"),
    "standings": ("mechanism.standings",),
    "state": (
        "mechanism.state", "mechanism.apply", "mechanism.rewards", "mechanism.payments",
        "rules.coins",
    ),
    "statements": ("wire.statements", "mechanism.identity"),
    "strategy": ("federation.strategy",),
    "superlink": ("transport.superlink",),
    "unpacking": ("node.model",),
}  # fmt: skip
"""What each module became; where it is several, a name is looked for in their order."""

_PACKAGE = __name__.rpartition(".")[0]


class _Several(ModuleType):
    """A module whose names are in several others now."""

    homes: tuple[ModuleType, ...] = ()

    def __getattr__(self, name: str) -> object:
        for home in self.homes:
            if name in vars(home):
                return vars(home)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Aliases(MetaPathFinder, Loader):
    """Finds modules by their former names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a former name; None for any other."""
        name = fullname.removeprefix(f"{_PACKAGE}.")
        if name == fullname or name not in BECAME:
            return None
        return ModuleSpec(fullname, self, is_package=name == "decisions")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, or where its names are in several one that looks there."""
        names = BECAME[spec.name.removeprefix(f"{_PACKAGE}.")]
        homes = tuple(import_module(f"{_PACKAGE}.{name}") for name in names)
        if len(homes) == 1:
            return _Same.of(homes[0])
        module = _Several(spec.name)
        module.homes = homes
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in its former place: its own spec stays as it is."""
        if isinstance(module, _Same):
            sys.modules[module.__spec__.name] = module.itself  # type: ignore[union-attr]


class _Same(ModuleType):
    """Stands for a module while it is looked up under its former name."""

    itself: ModuleType

    @classmethod
    def of(cls, module: ModuleType) -> _Same:
        """A stand-in for a module."""
        same = cls(module.__name__)
        same.itself = module
        return same


def install() -> None:
    """Have former names found, after everything else was asked."""
    if not any(isinstance(finder, _Aliases) for finder in sys.meta_path):
        sys.meta_path.append(_Aliases())
