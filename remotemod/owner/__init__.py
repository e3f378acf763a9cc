"""What a worker does: keeps modules and values for others, and runs what they ask for.

In reading order:

* ``owner``: what is kept, by number, with a count of handles; the stubs that were sent.
* ``session``: one caller; the one place where a request is run, whatever engine brought it.
* ``endpoint``: one generated method of one kept module, found once for all its calls.
* ``invoke``, ``build``, ``describe``: functions, modules, and the interface of a module that only its owner can tell.
* ``module_functions``, ``weights``, ``safetensors_file``: what a handle runs on its module (modes, state, files).
* ``overloads``: scripted modules with several forwards.
* ``inproc``: the engine without processes, which is no more than sessions in this one. It lives here because a module
  placed on ``"cpu"`` needs it without any cluster.

Everything that is no request of its own (``train``, ``state_dict``, proxies) is a function that runs here with the reference
as its first argument. To load a state, an owner hangs the module below a placeholder of the caller's prefix, so that names,
hooks and errors come out as a local parent's.
"""
