"""What a user holds: the handle on a remote module, and the calls that it makes.

In reading order:

* * ``spec``, ``client``: the module and how its calls reach it, worked out once for each handle.
* * ``module``: ``RemoteModule``; ``state``: its weights, modes and copies; ``stub_class``, ``signatures``: the class that
  a handle gets.
* * ``named``: named modules; ``lookup``: ``rm.lookup``; ``directory``: the clients that operators find by a reference string.
* ``functions``: ``rm.rpc_sync``, ``rm.rpc_async``, ``rm.remote``.
* ``tracing/``: the same under ``torch.compile``, ``torch.export`` and ``torch.fx``.

A call: a generated method passes its arguments on; the client adds the reference, the stub's digest and the
graph mode, and the engine carries them. The owner finds the function by (digest, method) and runs it on the kept module.
Generated code says ``module.forward(…)``, as TorchScript has it; where Python runs it, that is the module itself, so hooks
of the remote module run as they would locally.

State: a handle overrides the functions by which ``nn.Module``'s own ``state_dict`` and ``load_state_dict`` visit each
module, and no more. Torch passes the versions of a child's submodules on to no module, so they are read in the frame of the
running load (``torch_compat/walks.py``), as the walks of a parent's ``zero_grad()`` and ``requires_grad_()`` are found there.

Names: an owner knows named modules, and those on which something was made that outlives its handles
(a scripted model, a program), by their reference strings. Names keep nothing alive. A scripted model holds the string alone, so
its client is entered in the directory when the module is scripted, and stays until the cluster closes.

The package is not called ``remote``: a package of that name would take the place of the function ``rm.remote``.
"""
