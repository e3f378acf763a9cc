"""Gradients across processes: a remote call as one node of the caller's graph, whose other half its owner keeps.

Both halves find the tensors that require grad by one walk (``trees``), in the same order. Parameters that have travelled stay leaves
on the owner; their gradients are taken out of ``.grad`` after the pass.

* **On the owner** (``owner``) the inputs that require grad arrive as outputs of a node that catches their gradients. What is
  kept of the results is their gradient edges, not their memory. A graph is a kept object like any other: counted, and let go
  with its holder or with the caller's session; a pass that need not keep it releases it too.
* **On the caller** (``caller``) the inputs are marked when the call is made, by placeholders of the same shape without
  memory: what is done to them in place until the answer comes is none of the call's. The answer's tensors become outputs of a
  node whose backward asks the owner. An anchor that requires grad stands for the remote parameters.
* **Which gradients are wanted** is read off the pass that is under way: if the engine will come to the anchor, the owner runs
  ``backward`` and its parameters accumulate; if only to the placeholders, it runs ``grad`` and returns those of the inputs.
* **A recorded pass** (``create_graph``) is itself a recorded call of the graph, whose inputs are the gradients and the inputs of
  the first. Such graphs have parts in common, so none of them is freed by a pass: they end with their references.
* ``recompute=True`` is ``torch.utils.checkpoint`` on the owner, with the module on copies of its buffers while it runs again.
"""
