from __future__ import annotations

import pytest

from adam_tutorial import reference


@pytest.mark.parametrize("threshold", [3.9, 0.0])
def test_rectification_below_its_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(
        ValueError, match=f"threshold must be at least 4, got {threshold}"
    ):
        reference.radam(None, 1.0, threshold=threshold)
