from typing import Any

from torch import Tensor, nn


class Kinds(nn.Module):
    def forward(self, x: Tensor, /, y: Tensor, *rest: Tensor, scale: float = 1.0, **extra: Any) -> Tensor:
        return x

    def keyword_only(self, *, x: Tensor, factor: int = 2) -> Tensor:
        return x

    def positional_only(self, x: Tensor, n: int = 1, /) -> Tensor:
        return x

    def anything(self, *args, **kwargs):
        return args

    def unannotated(self, x, y=1, *, z=None):
        return x

    def half_annotated(self, x: Tensor, y=1) -> Tensor:
        return x

    def only_result(self, x) -> int:
        return 1

    def nothing(self) -> None:
        return None

    def mixed_opaque(self, a: int, b=object(), /, c=object(), *args, d=object(), **kwargs):
        return a
