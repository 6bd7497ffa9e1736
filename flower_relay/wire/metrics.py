"""Metrics as numbers, read without trusting them: by the server, and by a node of its ClientApp."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message, MetricRecord, RecordDict

__all__ = ["merged", "metrics_of", "number_in", "number_of"]


def number_of(value: object) -> float | None:
    """A value as a float; None where it is no number, or too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def number_in(metrics: Mapping[str, object], key: str) -> float | None:
    """A metric as a float; None where it is absent, a list, or too large for one."""
    return number_of(metrics.get(key))


def metrics_of(message: Message) -> MetricRecord:
    """All metrics of a reply in one record."""
    return merged(message.content)


def merged(content: RecordDict) -> MetricRecord:
    """All metrics of a content in one record."""
    # Not `content.metric_records`: its views keep what they showed alive.
    found = MetricRecord()
    for record in content.values():
        if isinstance(record, MetricRecord):
            found.update(record)
    return found
