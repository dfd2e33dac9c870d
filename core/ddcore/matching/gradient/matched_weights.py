"""Which weights' gradients are matched."""

from __future__ import annotations

from ddcore.errors import UnsupportedError
from ddcore.parts import Network

LAYERS = ("all", "conv")


def matched_weights(network: Network, layers: str) -> list[str]:
    """Return the names of the weights to match.

    Biases and the affine weights of norms never are among them.

    Args:
        network: whose weights are meant.
        layers: ``all`` weights of two dimensions or more, or ``conv``: those of convolutions (four
            dimensions) alone.

    Raises:
        UnsupportedError: the network has none of that kind.
    """
    least = 4 if layers == "conv" else 2
    names = [name for name, weight in network.module.named_parameters() if weight.ndim >= least]
    if not names:
        wanted = "convolution" if layers == "conv" else "weight matrix"
        raise UnsupportedError(
            f"{type(network.module).__name__} has no {wanted} whose gradient could be matched: "
            + ("use layers='all', or a network with convolutions" if layers == "conv" else "use another network")
        )
    return names
