"""The tensors of a value: one definition of them for device moves, gradients, recomputation, the wire and tracing.

A value is a graph of containers with tensors in it. ``kinds`` says for each class of containers what its parts are and
how another one is made of other parts; everything else is written once over that table: ``walk`` finds and replaces the
tensors, ``paths`` names the place of one in an error, ``moves`` is what generated stubs call.
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
