"""Clients distil sentences, and a server trains on the union."""

from __future__ import annotations

import pytest

from ddapps.federated import Settings
from ddapps.federated.baselines import Grid
from ddapps.federated.compare import compare
from ddapps.federated.settings import PREFIX
from tests.text.data import topics


@pytest.mark.filterwarnings("ignore")
def test_summaries_of_sentences_are_sent_instead_of_weights() -> None:
    words = {"method": "dm", "ipc": 2, "network": "textcnn(width=8)", "steps": 2, "protocol": "quick", "device": "cpu"}
    settings = Settings.from_config({PREFIX + name: value for name, value in words.items()})
    found = compare(topics(), settings, clients=2, alpha=5.0, baselines=["random"], seeds=1)
    distilled, random = found.rows
    assert distilled.name == "dm" and random.name == "random"
    assert all(row.final[0] > 50 for row in found.rows), found  # a third by chance


def test_networks_of_sentences_are_not_guessed() -> None:
    settings = Settings(network="textcnn(width=8)")
    assert Grid.usual(settings, topics().spec).networks == ("textcnn(width=8)",)
