"""scikit-learn: a logistic regression whose coefficients are the baton.

    python examples/scikit_learn.py

A client trains by `partial_fit`, so that it goes on from the weights that it was handed, and
may lack some of the classes.
"""

from __future__ import annotations

import logging

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from flower_relay import InMemoryGrid, RelayStrategy

logging.getLogger("flwr").setLevel(logging.WARNING)
app = ClientApp()

_DATA = load_breast_cancer()
_X, _Y = StandardScaler().fit_transform(_DATA.data), _DATA.target
_CLASSES = np.array([0, 1])
_TEST = np.arange(len(_Y)) % 5 == 0


def model_of(arrays: ArrayRecord) -> SGDClassifier:
    """A classifier with the weights of a message."""
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=0)
    model.classes_, model.t_ = _CLASSES, 1.0
    model.coef_ = arrays["coef"].numpy().copy()
    model.intercept_ = arrays["intercept"].numpy().copy()
    return model


def cases(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test with."""
    place, count = (int(context.node_config[k]) for k in ("partition-id", "num-partitions"))
    mine = np.flatnonzero(~_TEST)[place::count]
    cut = int(0.8 * len(mine))
    return mine[:cut], mine[cut:]


@app.train()
def train(message: Message, context: Context) -> Message:
    """One pass over this client's data."""
    model, (mine, _) = model_of(message.content["arrays"]), cases(context)
    model.partial_fit(_X[mine], _Y[mine], classes=_CLASSES)
    arrays = {"coef": Array(model.coef_), "intercept": Array(model.intercept_)}
    content = {
        "arrays": ArrayRecord(arrays),
        "metrics": MetricRecord({"num-examples": len(mine)}),
    }
    return Message(RecordDict(content), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Loss on cases that this client never trains on."""
    model, (_, held) = model_of(message.content["arrays"]), cases(context)
    loss = log_loss(_Y[held], model.predict_proba(_X[held]), labels=_CLASSES)
    metrics = MetricRecord({"eval_loss": float(loss), "num-examples": len(held)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def main(nodes: int = 8, hops: int = 40) -> float:
    """Relay; the champion's accuracy on the server's test set."""
    first = {"coef": Array(np.zeros((1, _X.shape[1]))), "intercept": Array(np.zeros(1))}
    strategy = RelayStrategy(budget=hops)
    result = strategy.start(InMemoryGrid(app, nodes), ArrayRecord(first), num_rounds=hops)
    accuracy = float(model_of(result.arrays).score(_X[_TEST], _Y[_TEST]))
    accepted = sum(hop.outcome == "accepted" for hop in strategy.record.hops)
    print(f"{accepted} of {hops} hops accepted, test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
