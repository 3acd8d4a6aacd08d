from __future__ import annotations

import pytest

from adam_tutorial import reference


def test_unknown_definition_of_amsgrad_is_refused() -> None:
    with pytest.raises(ValueError, match="maximum_of must be 'v' or 'v_hat', got 'm'"):
        reference.amsgrad(None, 1.0, maximum_of="m")
