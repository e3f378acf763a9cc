"""Reads a module's interface into one frozen model, from source or from live objects.

One model, two readers. The static reader parses with libcst and follows names, imports and base classes
across files without running anything. The live reader takes classes, instances, protocols,
``@torch.jit.interface`` classes and ScriptModules, and needs no libcst, so owners can use it. Where both can
read a class they give equal Interfaces; how a container was spelt (``list[int]``, ``List[int]``), docstrings and
line numbers are kept for the stub but take no part in equality. Where torch is not installed (a pre-commit hook)
the static reader knows torch's commonest names and nn.Module's own methods (``interface/absent_torch.py``), and refuses what
depends on more, so the text never depends on whether torch is there.

A module class has ``forward`` and every further public method that its classes below ``nn.Module`` declare. An
``m_async`` beside an ``m`` is m's asynchronous form. Methods that a remote module has itself (``train``, ``to``,
``state_dict``, …) get no stub: the remote module's own acts on the owner. ``save`` and ``load`` are too common to be
kept: there the module's own wins.
"""
