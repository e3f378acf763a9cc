"""The shortest useful program: an embedding table that lives in another process."""

import torch
from torch import nn

import remotemod as rm


def main() -> None:
    with rm.launch(workers=["ps0"]):
        table = rm.RemoteModule("ps0/cpu", nn.EmbeddingBag, args=(100_000, 64))
        indices = torch.tensor([3, 14, 15, 92, 65])
        offsets = torch.tensor([0, 2])
        with torch.no_grad():
            bags = table(indices, offsets)
            future = table.forward_async(indices, offsets)
        print(table)
        print("two bags:", tuple(bags.shape), "same again:", torch.equal(bags, future.wait()))


if __name__ == "__main__":
    main()
