"""Fixtures of all tests. Devices come by fixture: the CPU, and CUDA where there is one."""

import pytest
import torch
from hypothesis import settings

import gan_utils as gu

# the same examples each time, no verdict by the clock, nothing left in the tree
settings.register_profile("book", deadline=None, max_examples=30, derandomize=True, database=None)
settings.load_profile("book")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return torch.device(request.param)


@pytest.fixture
def stream(device) -> torch.Generator:
    """A random stream on the device, the same in every test."""
    return gu.seeded(0, device)
