"""One network, the same in every step."""

from __future__ import annotations

from dataclasses import dataclass, field

from ddcore.parts import Architecture, InitialWeights, Networks, NetworkSource, Run, Usual
from ddcore.sources.drawn import DrawnNetworks


@dataclass(frozen=True)
class OneNetwork(NetworkSource):
    """A network that is drawn once, from the run's seed. It is not trained.

    What is learned on it is for its weights alone, so the summary holds them.

    Attributes:
        architecture: of the network. It has a name.

    Source: the fixed initialisation of Wang et al. 2018 (arXiv:1811.10959), section 3.1.
    """

    architecture: Architecture = field(default_factory=Usual)

    def start(self, run: Run) -> Networks:
        """Return the network.

        Raises:
            UnsupportedError: the architecture has no name. A summary could not hold its weights.
        """
        one = _One(self.architecture, run)
        one.initial()
        return one


class _One(DrawnNetworks):
    def advance(self) -> None:
        self.age += 1

    def initial(self) -> InitialWeights:
        return InitialWeights.of(self._network, self._architecture)
