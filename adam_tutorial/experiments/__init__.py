"""Runs that take longer than a chapter may, with their results written as JSON.

Each module is run as ``python -m adam_tutorial.experiments.NAME --out FILE``. All training is on
one thread with fixed seeds, and in float64, so the same numbers come out on another machine. Only
the many short runs of ``hyperparameters`` are in float32: there, the first digits do.
"""
