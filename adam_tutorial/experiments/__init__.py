"""Runs that take longer than a chapter may, with their results written as JSON.

Each module is run as ``python -m adam_tutorial.experiments.NAME --out FILE``. All training is in
float64 on one thread with fixed seeds, so the same numbers come out on another machine.
"""
