"""Worlds: what can be learned, by name, each from a package that ships it."""
