from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn


class LongSignatures(nn.Module):
    def forward(self, hidden_states_of_the_whole_batch: Optional[Tuple[Tensor, Tensor]], attention_mask: Optional[Tensor] = None, head_mask: Optional[Tensor] = None, past_key_values: Optional[List[Tuple[Tensor, Tensor]]] = None) -> Tuple[Tensor, Optional[Tensor], Optional[List[Tuple[Tensor, Tensor]]]]:
        return torch.ones(1), None, None

    def deep(self, x: Dict[str, Dict[str, Dict[str, Dict[str, Tuple[Tensor, Optional[List[Tensor]], Dict[str, Tensor]]]]]]) -> Dict[str, Dict[str, Dict[str, Dict[str, Tuple[Tensor, Optional[List[Tensor]], Dict[str, Tensor]]]]]]:
        return x

    def a_method_with_quite_a_long_name_that_fills_the_line(self) -> Dict[str, Dict[str, Dict[str, Tensor]]]:
        return {}

    def exactly_eighty_eight_columns(self, first: Tensor, second: Tensor, t: int) -> int:
        return 1

    def one_more_than_eighty_eight_columns(self, first: Tensor, second: Tensor) -> Tensor:
        return first


@torch.jit.interface
class LongScripted(nn.Module):
    def forward(self, hidden_states_of_the_whole_batch: Optional[Tuple[Tensor, Tensor]], attention_mask: Optional[Tensor] = None, past_key_values: Optional[List[Tuple[Tensor, Tensor]]] = None) -> Tuple[Tensor, Optional[Tensor], Optional[List[Tuple[Tensor, Tensor]]]]:
        pass

    def deep(self, x: Dict[str, Dict[str, Dict[str, List[Optional[Tuple[Tensor, int, str, Tensor]]]]]]) -> Dict[str, Dict[str, Dict[str, List[Optional[Tuple[Tensor, int, str, Tensor]]]]]]:
        pass
