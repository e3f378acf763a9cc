"""The table of all modules of torch.nn, and the reasons why some have no row."""

from __future__ import annotations

from torch import nn

from tests.training.case import Case
from tests.training.cases import (
    activations,
    convolutions,
    linears,
    losses,
    norms,
    pools,
    recurrent,
    shapes,
    transformers,
)

__all__ = ["CASES", "WITHOUT_CASE", "public_classes"]

CASES: list[Case] = [
    *linears.CASES,
    *activations.CASES,
    *convolutions.CASES,
    *pools.CASES,
    *norms.CASES,
    *shapes.CASES,
    *recurrent.CASES,
    *transformers.CASES,
    *losses.CASES,
]

WITHOUT_CASE = {
    "Module": "the base of all; it has no forward",
    "Container": "torch's deprecated base of containers; it has no forward",
    "ModuleList": "holds modules for others; it has no forward",
    "ModuleDict": "holds modules for others; it has no forward",
    "ParameterList": "holds parameters for others; it has no forward",
    "ParameterDict": "holds parameters for others; it has no forward",
    "RNNBase": "the base of RNN, LSTM and GRU; it has no forward",
    "RNNCellBase": "the base of the cells; it has no forward",
}


def public_classes() -> dict[str, type[nn.Module]]:
    """Every module class that ``torch.nn`` offers, by name."""
    found = vars(nn).items()
    return {k: v for k, v in found if isinstance(v, type) and issubclass(v, nn.Module)}
