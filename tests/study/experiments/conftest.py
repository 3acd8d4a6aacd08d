"""What the tests of several experiments share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of threads, which an experiment sets."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
