"""Crashes, full disks, damaged files and killed runs.

``make faults`` sets ``FAULTS=long``: the same tests with more cases.
"""

import os

__all__ = ["LONG"]

LONG = os.environ.get("FAULTS") == "long"
