"""Trajectory matching (survey, section 2.3): training on the synthetic examples goes where training on real ones went."""

from ddcore.matching.trajectory.trajectory_matching import TrajectoryMatching

__all__ = ["TrajectoryMatching"]
