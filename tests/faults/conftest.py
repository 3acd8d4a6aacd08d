"""Prints what was tried."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases there were of each kind of fault."""
    for result in ("passed", "failed"):
        for report in terminalreporter.stats.get(result, ()):
            for key, value in getattr(report, "user_properties", ()):
                if key == "fault":
                    terminalreporter.write_line(str(value))
