"""Scripted modules whose forward is overloaded."""

from __future__ import annotations

from typing import Optional, Tuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import remotemod as rm


def scripted_lstm() -> nn.Module:
    return torch.jit.script(nn.LSTM(8, 16))


@torch.jit.interface
class Recurrent(nn.Module):
    def forward(
        self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        pass


def test_a_scripted_lstm_is_called_by_its_arguments(shm: rm.Cluster) -> None:
    """Tensors and packed sequences each find their overload; what fits none is refused."""
    remote = rm.RemoteModule("ps0", scripted_lstm)
    local = nn.LSTM(8, 16)
    remote.load_state_dict(local.state_dict())
    x = torch.randn(3, 2, 8)
    with torch.no_grad():
        assert torch.equal(remote(x)[0], local(x)[0])
        packed = pack_sequence([x[:, 0], x[:2, 1]])
        assert torch.equal(remote(packed)[0].data, local(packed)[0].data)
    with pytest.raises(TypeError, match="no overload of forward"):
        remote("nonsense")


def test_a_scripted_caller_reaches_a_scripted_lstm(shm: rm.Cluster) -> None:
    """Through an interface, from TorchScript, with the optional state left out and given."""
    scripted = torch.jit.script(rm.RemoteModule("ps0", scripted_lstm, interface=Recurrent))
    x, state = torch.randn(3, 2, 8), (torch.zeros(1, 2, 16), torch.zeros(1, 2, 16))
    assert torch.equal(scripted(x)[0], scripted(x, state)[0])
