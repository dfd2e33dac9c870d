"""Which of a hundred connected clients a round asks."""

from __future__ import annotations

import pytest

from ddapps.federated import ServerData
from ddapps.federated.server import Server
from ddapps.federated.wire import Contribution
from tests.federated.conftest import quick
from tests.frequency import assert_equally_often

NODES = list(range(1001, 1101))


def rounds(server: Server, number: int, seed: int = 0) -> list[list[int]]:
    """Return the nodes that each round asks; all answer."""
    asked = []
    for _ in range(number):
        nodes = server.asks(NODES, seed)
        server.tasks(nodes)
        for node in nodes:
            name = str(node)
            server.contributions[name] = Contribution(name, node, server.round, None, {}, 0)  # type: ignore[arg-type]
        asked.append(nodes)
    return asked


def test_ten_rounds_of_ten_hear_each_of_a_hundred_once(data: ServerData) -> None:
    server = Server(quick(fraction=0.1, rounds=12, clients=100), data)
    asked = rounds(server, 12)
    assert [len(nodes) for nodes in asked] == [10] * 10 + [0, 0]
    assert sorted(node for nodes in asked for node in nodes) == NODES


def test_where_weights_move_on_each_round_draws_from_all(data: ServerData) -> None:
    """Who was asked before comes again as often as others do."""
    settings = quick(form="feddm", fraction=0.1, rounds=2)
    draws, again = [], 0
    for seed in range(200):
        first, second = rounds(Server(settings, data), 2, seed)
        draws += [first, second]
        again += len(set(first) & set(second))
    assert_equally_often(draws, NODES)
    assert again / 200 == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize(("fraction", "least", "wanted"), [(0.1, 2, 10), (0.01, 2, 2), (1.0, 2, 100), (0.105, 2, 10)])
def test_a_round_asks_a_share_and_never_fewer_than_the_least(
    data: ServerData, fraction: float, least: int, wanted: int
) -> None:
    server = Server(quick(form="feddm", fraction=fraction, min_clients=least), data)
    (asked,) = rounds(server, 1)
    assert len(asked) == len(set(asked)) == wanted
    again = Server(quick(form="feddm", fraction=fraction, min_clients=least), data)
    assert rounds(again, 1) == [asked]
