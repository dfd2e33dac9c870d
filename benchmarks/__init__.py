"""Longer comparisons: one command each, ``python -m benchmarks.NAME``.

Results go to ``benchmarks/results/``.
"""
