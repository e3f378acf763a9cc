"""A generated file at run time: its declaration, its loading, its TorchScript operators.

* **Live signatures.** The class that a handle gets shows the interface's own ``inspect.Signature``, objects and
  all, even where the stub's text can only quote a name.
* **Loading** is keyed by the text's digest and the injected names, locked, all-or-nothing, and registered in
  ``linecache``: tracebacks, ``inspect.getsource`` and TorchScript see the generated line.

The stub declares its ABI number and interface digest. Another ABI fails on import with ``InterfaceMismatch``
naming the command (an old stub that imports a name which is gone fails in ``remotemod.abi``'s ``__getattr__``, by its header); a
pre-generated stub of a class whose interface has changed on the owner fails when the module is built.
"""
