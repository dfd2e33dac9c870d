"""Trajectory matching (survey, section 2.3).

Training on the synthetic examples is to go where training on real ones went.
"""

from ddcore.matching.trajectory.trajectory_matching import TrajectoryMatching

__all__ = ["TrajectoryMatching"]
