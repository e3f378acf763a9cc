"""Remote modules over ``torch.distributed.rpc``: the agent that a process has, or local workers of its own.

In reading order: ``door`` (launch, connect, the agent's own cluster), ``agent``, ``engine`` (requests out), ``owner`` (requests
in), ``serialization`` (values on their way), ``futures``, ``launching`` (a group of local workers), ``native`` (TorchScript).

A request is a pickle of ours with tensors and RRefs left to torch, which records the former for autograd and counts the
latter; calls of plain values go as they are. Torch's own pickler carries no code, and its way with exceptions keeps a text
alone, so the owner's answer is a result or a failure that was taken apart like on every backend. The owner keeps nothing but
graphs itself: torch's RRefs keep the rest. Inside of a ``torch.distributed.autograd`` context torch records calls itself.

Launched workers come from the same fork server as ``shm``'s. Torch numbers its ``init_rpc`` calls and its gatherings in each
process and makes the numbers part of the keys by which members meet; new workers take over the caller's.
"""
