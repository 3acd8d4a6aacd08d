from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest
import torch
from hypothesis import settings

from adam_tutorial.study.data import Images, Reviews, load_digits, load_reviews

mpl.use("Agg")
torch.set_num_threads(1)

# No deadline: a busy machine is not a failure. Derandomised: the same examples on every
# machine.
settings.register_profile(
    "repository", deadline=None, derandomize=True, database=None, max_examples=60
)
settings.load_profile("repository")


@pytest.fixture(autouse=True)
def _default_dtype_is_restored() -> Iterator[None]:
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def float64() -> None:
    torch.set_default_dtype(torch.float64)


@pytest.fixture(scope="session")
def digits() -> Images:
    return load_digits()


@pytest.fixture(scope="session")
def reviews() -> Reviews:
    return load_reviews()
