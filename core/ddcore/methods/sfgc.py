"""SFGC: graph condensation to nodes without edges, by training trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ddcore.coresets import FeatureSpace, Herding, KCenter
from ddcore.graphs import GCN, GraphFeatures
from ddcore.ground.optimiser import Optimiser
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.methods.presets import entry_for, settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import ExpertSegments, ExpertTraining

SEGMENTS: Mapping[int, tuple[int, int, int]] = {5: (400, 150, 50), 10: (500, 120, 30), 20: (500, 200, 30)}
"""Steps on synthetic nodes, kept weights of the expert in a segment, and the latest start, by nodes
per class of Cora (the code's configuration)."""
SPACE = FeatureSpace("network", protocol="gcond")


def sfgc(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Train on nodes without edges from an expert's weights, towards its later weights.

    Settings of the code for Cora (arXiv:2306.02664): 200 experts, GCN without dropout, 2500 updates
    of SGD at .4 on all labelled nodes, weights kept after every tenth; a learned step size, .5 at
    first, its rate 1e-6 by SGD; features by Adam at 1e-4, from k-center; 2000 steps. Its starts are
    the multiples of ten up to the latest; ours are all. Its step size has no momentum; ours moves
    by Adam. It keeps the step that is best by a neural tangent kernel on validation nodes, and
    tunes the evaluation for each ratio; we keep the last step, and evaluate by protocol ``gcond``.

    Preset ``cpu``: 5 experts of 400 updates, 50 steps for 200 updates of the expert, step size 2,
    80 steps. Features start at herded nodes and are sent along two edges first.
    """
    preset = settled_preset(preset)
    inner, length, last = entry_for(SEGMENTS, largest_ipc(ipc))
    training = ExpertTraining(epochs=250, passes=10, learning_rate=0.4)
    rates = {"step_sizes": 1e-6}
    method = Method(
        name="sfgc",
        preset=preset,
        cites=("sfgc", "mtt"),
        factorization=GraphFeatures(ipc=ipc, init=KCenter(SPACE)),
        matching=TrajectoryMatching(inner_steps=inner, step_sizes=StepSizes(0.5, "shared")),
        networks=ExpertSegments(GCN(dropout=0.0), length=length, last_start=last + 1, count=200, training=training),
        optimiser=Optimiser("adam", learning_rate=1e-4, group_learning_rates=rates),
        steps=2000,
        protocol="gcond",
    )
    return _on_cpu(method) if preset == "cpu" else method


def _on_cpu(method: Method) -> Method:
    """Return the method with fewer, shorter segments."""
    training = ExpertTraining(epochs=40, passes=10, learning_rate=0.4)
    return replace(
        method,
        factorization=GraphFeatures(ipc=method.factorization.ipc, init=Herding(SPACE), hops=2),  # type: ignore[attr-defined]
        matching=TrajectoryMatching(inner_steps=50, step_sizes=StepSizes(2.0, "shared")),
        networks=ExpertSegments(GCN(dropout=0.0), length=20, last_start=20, count=5, training=training),
        optimiser=Optimiser("adam", learning_rate=1e-4, group_learning_rates={"step_sizes": 1e-3}),
        steps=80,
    )
