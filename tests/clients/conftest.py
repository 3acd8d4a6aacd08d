"""Prints the table of what was run."""

from __future__ import annotations

import pytest

HEAD = ("library", "version", "optimizer", "what was run", "difference")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how far apart the losses of each program were, relative to their size."""
    reports = [
        report
        for result in ("passed", "failed")
        for report in terminalreporter.stats.get(result, ())
    ]
    rows = sorted(
        value
        for report in reports
        for key, value in report.user_properties
        if key == "row"
    )
    for row in (HEAD, *rows):
        terminalreporter.write_line("{:18} {:10} {:9} {:73} {}".format(*row))
