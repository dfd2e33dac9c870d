"""From the arrays of an existing federated simulation to one round of summaries.

python examples/federated_simulation.py
"""

from __future__ import annotations

import logging
import sys

import numpy as np
from sklearn.datasets import load_digits

import ddcore as dd
from ddapps.federated import ServerData, Settings, simulate
from ddcore.images import Standardise

FAST = "--fast" in sys.argv
CLIENTS = 2 if FAST else 10
PUBLIC = {"num_classes": 10, "normalisation": Standardise((0.5,), (0.5,)), "mirror": False}
"""What all clients and the server know before they see any data."""


def main() -> None:
    logging.getLogger("flwr").setLevel(logging.ERROR)
    images, labels, test_images, test_labels = arrays()
    # What a simulation script has already: the indices of each client.
    indices = by_dirichlet(labels, CLIENTS, alpha=0.3)
    clients = [dd.load_data((images[i], labels[i]), **PUBLIC) for i in indices]
    server = ServerData.of(dd.load_data((images, labels, test_images, test_labels), **PUBLIC))

    shared = {"network": "convnet(width=4)" if FAST else "convnet(width=16)", "epochs": 10 if FAST else 0}
    once = simulate(Settings(method="dm", ipc=2, steps=2 if FAST else 60, levels=16, **shared), clients, server)
    rounds = simulate(Settings(form="fedavg", rounds=1 if FAST else 10, **shared), clients, server)

    print(f"{CLIENTS} clients, bytes up and down")
    print(f"  two distilled images per class, once   accuracy {once.accuracy:.1f} %  {total(once):>9} bytes")
    for entry, sent in zip(rounds.history, so_far(rounds), strict=True):
        print(
            f"  federated averaging, round {entry['round']:<2}          accuracy {entry['accuracy']:.1f} %  {sent:>9} bytes"
        )


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), digits.target
    return images[:1400], labels[:1400], images[1400:], labels[1400:]


def by_dirichlet(labels: np.ndarray, clients: int, alpha: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    owner = np.empty(len(labels), dtype=int)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        owner[members] = random.choice(clients, size=len(members), p=random.dirichlet([alpha] * clients))
    return [np.flatnonzero(owner == client) for client in range(clients)]


def total(outcome) -> int:
    return outcome.bytes_up + outcome.bytes_down


def so_far(outcome) -> list[int]:
    return np.cumsum([entry["bytes_up"] + entry["bytes_down"] for entry in outcome.history]).tolist()


if __name__ == "__main__":
    main()
