"""Benchmarks: every figure is a ratio, both sides of it measured in turns in the same run.

``python -m bench`` takes all of them, ``python -m bench --quick`` small sizes of them.
"""
