from __future__ import annotations

import pytest

from adam_tutorial import reference


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.5])
def test_factor_of_the_regret_form_must_be_in_its_range(factor: float) -> None:
    with pytest.raises(ValueError, match="beta1_factor must be"):
        reference.adam_regret(None, 1.0, beta1_factor=factor)
