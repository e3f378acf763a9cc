"""Remote modules over ``torch.distributed.rpc``: the engine that they come from."""
