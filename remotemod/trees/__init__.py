"""The tensors of a value: one definition of them for device moves, gradients, recomputation, the wire and tracing.

A value is a graph of containers with tensors in it. ``kinds`` says for each class of containers what its parts are and
how another one is made of other parts; everything else is written once over that table: ``walk`` finds and replaces the
tensors, ``paths`` names the place of one in an error, ``moves`` is what generated stubs call.

* ``kinds`` is a table: for each class of containers what its parts are, how a path names them, and how another one is made of
  other parts. ``walk`` is the one walk over it, iterative, each container once; it makes only those again that hold something
  else. Device moves, gradients, recomputation and optimizers' states go by it.
* A set has another order in another process, and an object that is pickled may hide tensors. So a value that is not all lists,
  tuples, dicts and plain objects travels with a list of its tensors beside it (``enumerated``): messages keep which tensor is
  which, so the receiver need not find them in the same order. While such a value is packed, by the codec or a pickler, each
  tensor that requires grad must be in that list: else ``path_to`` says where it is, and the call is refused.
"""

from remotemod.trees.enumerated import Enumerated, Followed
from remotemod.trees.moves import move, move_to_caller, to_caller
from remotemod.trees.walk import Walk, map_tensors, tensors_of

__all__ = [
    "Enumerated",
    "Followed",
    "Walk",
    "map_tensors",
    "move",
    "move_to_caller",
    "tensors_of",
    "to_caller",
]
