"""Remote modules over ``torch.distributed.rpc``: the agent that a process has, or local workers of its own.

In reading order: ``door`` (launch, connect, the agent's own cluster), ``agent``, ``engine`` (requests out), ``owner`` (requests
in), ``serialization`` (values on their way), ``futures``, ``launching`` (a group of local workers), ``native`` (TorchScript).

A request is a pickle of ours with tensors and RRefs left to torch, which records the former for autograd and counts the
latter; calls of plain values are sent as they are. Torch's own pickler carries no code, and keeps only the text of exceptions,
so the owner's answer is a result, or a failure that is packed as on every backend. The owner itself keeps nothing but
graphs: torch's RRefs keep the rest. Inside of a ``torch.distributed.autograd`` context torch records calls itself.

TorchScript reaches a module without Python by functions that are compiled from a text of their own, which the caller
renders from the stub's declaration (``script_text``) and sends along as ``Load.extension``; the owner answers in ``Built.extension``
whether the reference is typed. The text's interface class is a plain class until it is loaded. It then becomes a TorchScript
interface, or an alias of the user's own where that can be imported: one reference type for generated and for user code. With
gradients enabled they are not used: torch's RPC cannot keep a graph for a plain ``backward()``.

Launched workers come from the same fork server as ``shm``'s. Torch numbers its ``init_rpc`` calls and its gatherings in each
process, and the numbers are in the keys by which members find each other; new workers take over the caller's.
"""
