"""What a user holds: the handle on a remote module, and the calls that it makes.

In reading order:

* ``spec``, ``client``: the module and the way to call it, worked out once for each handle.
* ``module``: ``RemoteModule``; ``state``: weights, modes and copies of it; ``stub_class``, ``signatures``: the class that
  a handle becomes.
* ``named``: modules that owners know by name; ``lookup``: ``rm.lookup``; ``directory``: what operators find by a string.
* ``functions``: ``rm.rpc_sync``, ``rm.rpc_async``, ``rm.remote``.
* ``tracing/``: the same under ``torch.compile``, ``torch.export`` and ``torch.fx``.

A call: a generated method hands its arguments on; the client adds the reference, the stub's digest and the
graph mode, and has the engine carry them. The owner finds the function by (digest, method) and runs it on the kept module.
Generated code says ``module.forward(…)``, as TorchScript has it; where Python runs it, that is the module itself, so hooks
that live on the remote module run as they would locally.

State: a handle overrides what ``nn.Module``'s own ``state_dict`` and ``load_state_dict`` ask each module for, and no
more. Torch hands the versions of a child's submodules to nobody, so they are read in the frame of the load that is going on
(``torch_compat/walks.py``), as the walks of a parent's ``zero_grad()`` and ``requires_grad_()`` are noticed there.

Names: an owner knows the modules that were given a name, and those that something was made of that outlives its handles
(a scripted model, a program), by their reference strings. Names keep nothing alive. A scripted model holds the string alone, so
what it leads to is entered when the module is scripted, and stays until the cluster closes.

The package is not called ``remote``: a package of that name would take the place of the function ``rm.remote``.
"""
