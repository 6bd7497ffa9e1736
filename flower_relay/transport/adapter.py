"""The one place that touches names which Flower does not promise to keep (1.41).

Everything else in this library uses Flower's public `flwr.app`, `flwr.serverapp` and
`flwr.clientapp`.
"""

from __future__ import annotations

from typing import Any

import httpx
from flwr.app import ArrayRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, ObjectPushError
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

__all__ = [
    "CLIENT_APP_RAISED",
    "CONNECTION_TROUBLE",
    "NODE_UNAVAILABLE",
    "Run",
    "aggregate_metricrecords",
    "empty_run",
    "error",
    "identify_process",
    "is_to_blame",
    "let_go_of_arrays",
    "stamp",
]

CLIENT_APP_RAISED = int(ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
NODE_UNAVAILABLE = int(ErrorCode.NODE_UNAVAILABLE)

CONNECTION_TROUBLE = (ConnectionError, httpx.HTTPError, ObjectPullError, ObjectPushError)
"""What a Grid raises when the SuperLink is out of reach, or lost a part of what was said."""


def is_to_blame(code: int) -> bool:
    """Whether an error is the ClientApp's own doing; all others are infrastructure."""
    return code == CLIENT_APP_RAISED


def error(code: int, reason: str) -> Error:
    """An error as a reply carries it."""
    return Error(code=code, reason=reason)


def stamp(message: Message, message_id: str) -> Message:
    """Give a message the id that a SuperLink would."""
    message.metadata.__dict__["_message_id"] = message_id
    return message


def identify_process(run_id: int) -> None:
    """Let this process make messages; under Flower it already can, and nothing changes."""
    if TaskIdentity._run_id is None:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, 1, 1


def let_go_of_arrays(content: RecordDict) -> None:
    """Take the weights out of a content that has been read.

    Flower's views (`content.metric_records`, …) refer back to the content, so that one
    that was looked at lives until Python's collector comes by, large arrays included.
    """
    for key, record in list(content.items()):
        if isinstance(record, ArrayRecord):
            del content[key]


def empty_run(run_id: int, run_config: dict[str, Any]) -> Run:
    """A run description without a SuperLink behind it."""
    run = Run.create_empty(run_id)
    run.override_config = run_config
    return run
