"""Which weights' gradients are matched."""

from __future__ import annotations

from ddcore.errors import UnsupportedError
from ddcore.parts import Network

LEAST_DIMENSIONS = {"parameters": 1, "all": 2, "conv": 4}
LAYERS = tuple(LEAST_DIMENSIONS)


def matched_weights(network: Network, layers: str) -> list[str]:
    """Return the names of the weights to match.

    Args:
        network: whose weights are meant.
        layers: ``all`` weights of two dimensions or more; ``conv``: those of convolutions (four
            dimensions) alone; or ``parameters``: biases and the affine weights of norms, too.

    Raises:
        UnsupportedError: the network has none of that kind.
    """
    least = LEAST_DIMENSIONS[layers]
    names = [name for name, weight in network.module.named_parameters() if weight.ndim >= least]
    if not names:
        wanted = "convolution" if layers == "conv" else "weight matrix"
        raise UnsupportedError(
            f"{type(network.module).__name__} has no {wanted} whose gradient could be matched: "
            + ("use layers='all', or a network with convolutions" if layers == "conv" else "use another network")
        )
    return names
