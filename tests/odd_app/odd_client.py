"""The participants: training goes a fifth of the way to 1, and some replies are odd."""

from __future__ import annotations

import io

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from tests.odd_app import ARCHIVE, CUT, LISTS, UNKNOWN_TYPE

app = ClientApp()


def _number(context: Context) -> int:
    """Which odd participant this is; 0 for none."""
    odd = context.run_config["what"] == "odd"
    return int(context.node_config["partition-id"]) if odd else 0


def _weights(message: Message) -> np.ndarray:
    return message.content["arrays"]["w"].numpy()


@app.train()
def train(message: Message, context: Context) -> Message:
    before = _weights(message)
    share = 0.2 + 0.01 * int(context.node_config["partition-id"])
    trained = before + np.float32(share) * (1 - before)
    name = "_orig_mod.w" if context.run_config["what"] == "prefixed" else "w"
    metrics = {"train_loss": 1.0, "num-examples": 5}
    if _number(context) == LISTS:
        metrics |= {"per-class": [0.1, 0.2, 0.3]}
    content = RecordDict({"metrics": MetricRecord(metrics)})
    if _number(context) == UNKNOWN_TYPE:
        content["relay-parcel"] = _bfloat16(trained)
    else:
        content["arrays"] = ArrayRecord({name: _packed(trained, _number(context))})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    if context.run_config["what"] == "raising":
        raise FileNotFoundError("the validation set is not mounted")
    loss = float(np.mean((1 - _weights(message)) ** 2))
    partition = int(context.node_config["partition-id"])
    metrics = {"eval_loss": loss, "num-examples": 5, "partition-id": partition}
    if _number(context) == LISTS:
        metrics |= {"per-class": [0.1] * 3, "confusion": list(range(9))}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)


def _packed(array: np.ndarray, number: int) -> Array:
    """An array as it should be, with its end cut off, or as an archive."""
    stream = io.BytesIO()
    np.savez(stream, array) if number == ARCHIVE else np.save(stream, array)
    data = stream.getvalue()
    return Array(
        dtype=str(array.dtype), shape=array.shape, stype="numpy.ndarray",
        data=data[:-3] if number == CUT else data,
    )  # fmt: skip


def _bfloat16(array: np.ndarray) -> ConfigRecord:
    """A model in safetensors bytes of a type that numpy does not have, as the mod sends one."""
    data = array.astype("<f4").view("<u2")[1::2].tobytes()
    header = f'{{"w":{{"dtype":"BF16","shape":[{array.size}],"data_offsets":[0,{len(data)}]}}}}'
    text = header.encode().ljust(-(-len(header) // 8) * 8)
    return ConfigRecord(
        {
            "models": ["ab" * 32],
            "references": [""],
            "encodings": ["whole"],
            "data": [len(text).to_bytes(8, "little") + text + data],
        }
    )
