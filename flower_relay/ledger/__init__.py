"""The ledger: durable, tamper-evident blocks, and what verifies them."""

from __future__ import annotations

from .keys import OperatorKey, verify_signature
from .sealed import SealedBlock, seal
from .sql_chain import SqlChain, open_ledger, read_sealed

__all__ = [
    "OperatorKey",
    "SealedBlock",
    "SqlChain",
    "open_ledger",
    "read_sealed",
    "seal",
    "verify_signature",
]
