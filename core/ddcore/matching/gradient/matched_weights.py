"""Which weights' gradients are matched."""

from __future__ import annotations

from ddcore.errors import UnsupportedError
from ddcore.parts import Network

LEAST_DIMENSIONS = {"parameters": 1, "all": 2, "conv": 4}
LAYERS = (*LEAST_DIMENSIONS, "head")


def matched_weights(network: Network, layers: str) -> list[str]:
    """Return the names of the weights to match.

    Args:
        network: whose weights are meant.
        layers: ``all`` weights of two dimensions or more; ``conv``: those of convolutions (four
            dimensions) alone; ``parameters``: biases and the affine weights of norms, too; or
            ``head``: weights and biases of the classifier alone.

    Raises:
        UnsupportedError: the network has none of that kind.
    """
    weights = network.module.named_parameters()
    if layers == "head":
        names = [name for name, _ in weights if name.startswith(f"{network.head}.")]
    else:
        names = [name for name, weight in weights if weight.ndim >= LEAST_DIMENSIONS[layers]]
    if not names:
        wanted = "convolution" if layers == "conv" else "weight matrix"
        raise UnsupportedError(
            f"{type(network.module).__name__} has no {wanted} whose gradient could be matched: "
            + ("use layers='all', or a network with convolutions" if layers == "conv" else "use another network")
        )
    return names
