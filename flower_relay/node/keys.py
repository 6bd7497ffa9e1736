"""Where a participant's private key is kept: a file of its own, or the node's memory.

The file is PEM, readable by its owner only, and made when it is missing. It never leaves
the node; whoever copies it can sign in the participant's name.
"""

from __future__ import annotations

from functools import cache
from logging import WARNING
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ConfigRecord, Context
from flwr.common import log

from ..errors import ConfigurationError, KeyFileError
from ..files.keys import read_key, write_new_key
from ..files.regular import seen_by_others
from ..mechanism.identity import participant_name
from ..wire.statements import public_hex

__all__ = ["key_file", "load_or_create", "name_of_partition", "participant_key"]

_STATE = "relay-key"


def participant_key(context: Context, default: Path | None = None) -> Ed25519PrivateKey:
    """The key of the node that a context is of, made where there is none yet."""
    path = key_file(context, default)
    return _remembered(context) if path is None else load_or_create(path)


def key_file(context: Context, default: Path | None = None) -> Path | None:
    """The file that a node's key is in; None where it only lives as long as the node.

    It is the node config's `relay-key`, else `default`, else `participant-N.key` in the run
    config's `relay-keys-dir` with N the partition-id.
    """
    own = context.node_config.get("relay-key")
    folder = context.run_config.get("relay-keys-dir")
    partition = context.node_config.get("partition-id")
    if own:
        return Path(str(own))
    if default is not None:
        return default
    if folder and partition is not None:
        return _file_of(Path(str(folder)), _number(partition))
    return None


def _number(partition: object) -> int:
    try:
        return int(str(partition))
    except ValueError:
        raise ConfigurationError(
            f"partition-id = {partition!r} in the node config: expected a whole number, by which "
            "the run's relay-keys-dir names this node's key. No message is answered until it is "
            "one, or the node has a relay-key of its own."
        ) from None


def name_of_partition(partition: int, folder: Path | None) -> str:
    """What a simulated node is called on the ledger: by its key if the folder holds one."""
    if folder is None or not (path := _file_of(folder, partition)).exists():
        return f"partition-id-{partition}"
    return participant_name(public_hex(load_or_create(path)))


def _file_of(folder: Path, partition: int) -> Path:
    return folder / f"participant-{partition}.key"


def load_or_create(path: Path) -> Ed25519PrivateKey:
    """The key in a file, made if there is none; processes that make it at once get the same.

    Raises
    ------
    KeyFileError
        When the file cannot be read or made, or holds something else.
    """
    try:
        if not path.exists():
            write_new_key(path)
        key = read_key(path)
    except OSError as problem:
        raise KeyFileError(
            f"the participant's key should be in {path}, but it can neither be read nor made: "
            f"{problem.strerror}. Nothing was signed; name a file that this process may write."
        ) from problem
    if key is None:
        raise KeyFileError(
            f"{path} should hold a participant's key, an Ed25519 private key as PEM without "
            "password, and holds something else. It was not changed; name another file, or one "
            "that is not there yet, which is then made."
        )
    if seen_by_others(path) is not None:
        _warn(path)
    return key


@cache
def _warn(path: Path) -> None:
    """Say once that others can take the participant's place."""
    log(
        WARNING,
        "The participant's key in %s can be read by other users of this machine, who can then "
        "sign in its name. Let only its owner read it: chmod 600 %s",
        path,
        path,
    )


def _remembered(context: Context) -> Ed25519PrivateKey:
    record = context.state.get(_STATE)
    seed = record.get("seed") if isinstance(record, ConfigRecord) else None
    if isinstance(seed, bytes) and len(seed) == 32:
        return Ed25519PrivateKey.from_private_bytes(seed)
    key = Ed25519PrivateKey.generate()
    context.state[_STATE] = ConfigRecord({"seed": key.private_bytes_raw()})
    return key
