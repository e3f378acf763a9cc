"""The work of a worker: it keeps modules and values for callers, and runs their requests.

In reading order:

* * ``owner``: the kept values, by number, with a count of handles; the stubs that were sent.
* * ``session``: one caller; the one place where a request is run, whatever engine carried it.
* ``endpoint``: one generated method of one kept module, found once for all its calls.
* ``invoke``, ``build``, ``describe``: functions, modules, and the interface of a module that only its owner can read.
* ``module_functions``, ``weights``, ``safetensors_file``: the functions that a handle runs on its module (modes, state, files).
* ``overloads``: scripted modules with several forwards.
* ``inproc``: the engine without processes, which is no more than sessions in this one. It is in this room because a
  module placed on ``"cpu"`` needs it without any cluster.

Everything that is no request of its own (``train``, ``state_dict``, proxies) is a function that runs on the owner with the
reference as its first argument. To load a state, an owner hangs the module below a placeholder of the caller's prefix, so that names,
hooks and errors are those of a local parent.
"""
