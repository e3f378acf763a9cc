"""The model that the demo splits: two blocks that can live anywhere, and a classifier that holds them."""

# No `from __future__ import annotations` here: TorchScript reads these annotations as they are.
import torch
from torch import Tensor, nn
from torch.futures import Future


@torch.jit.interface
class FeatureExtractor(nn.Module):
    """Turns images into features, wherever it runs."""

    def forward(self, images: Tensor) -> Tensor:
        pass

    def forward_async(self, images: Tensor) -> Future[Tensor]:
        pass


class Backbone(nn.Module):
    """Turns images into features; does not use remotemod, and has buffers (BatchNorm's)."""

    def __init__(self, width: int = 32, features: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(width * 4 * 4, features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Block(nn.Module):
    """The block after the backbone; its dropout makes the training depend on random numbers as well."""

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.2), nn.Linear(features, features), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class Classifier(nn.Module):
    """The same class whether its blocks are local or remote, and whether it is scripted or not."""

    backbone: FeatureExtractor

    def __init__(self, backbone: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(block, nn.Linear(64, 10))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and the features that they come from."""
        features = self.backbone(images)
        return self.head(features), features

    @torch.jit.export
    def forward_all(self, batches: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The same for many batches at once; needs a remote backbone, because only that has ``forward_async``."""
        futures = [self.backbone.forward_async(images) for images in batches]
        answers = [future.wait() for future in futures]
        return [(self.head(features), features) for features in answers]
