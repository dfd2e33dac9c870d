"""Longer comparisons: one command each, ``python -m benchmarks.NAME``; results go to ``benchmarks/results/``."""
