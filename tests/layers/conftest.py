"""What the tests of layers share: seeds, and the forms that run here."""

from collections.abc import Callable

import pytest
import torch
from random_attention import random_inputs
from torch import Tensor

from aabench.cases.catalogue import ATTENTIONS
from aabench.errors import UnsupportedCase


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors here are tiny: handing them to a second thread costs more than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=ATTENTIONS.names())
def form(request) -> str:
    """Each name of the catalogue; skipped, with the form's own reason, where it cannot run."""
    name: str = request.param
    attend: Callable[..., Tensor] = ATTENTIONS.load(name)
    try:
        attend(*random_inputs(1, 1, (2, 2), 4, 4))
    except UnsupportedCase as refusal:
        pytest.skip(str(refusal))
    return name
