"""Mods for a ClientApp, under the name that users import them by."""

from .node.mod import make_relay_mod, relay_mod

__all__ = ["make_relay_mod", "relay_mod"]
