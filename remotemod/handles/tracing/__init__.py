"""Handles under ``torch.compile``, ``torch.export`` and ``torch.fx``.

While torch traces, a handle's call becomes operators with fixed schemas, whatever the interface, because graphs hold
tensors, whole numbers and text. The arguments are taken apart into these (``form``); dynamo follows that code, so nothing of
it is opaque to it. The fake kernel runs the module itself, which the owner sends without its data (``skeleton``), and leaves
the result's form for the code that puts the result together. ``declared`` declares the operators to torch, ``operators``
implements them, ``traced`` and ``symbolic`` are the calls of a handle that is traced.

* A compiled graph has a backward of its own, made before anything is called. So each call keeps a small graph of
  autograd's (``calls``) under a token: a tensor that is saved like an activation; the graph goes when that tensor's
  memory does. The backward operator runs autograd on it. Whether parameters' gradients are wanted is read off the anchor, which is
  an input of the graph.
* A compiler drops what is not used, merges what looks alike, and moves what does not depend on each other. Operators are
  marked as having effects, each call site has a number of its own (a random start: compiled code is cached on disk by its
  graph, which does not say what the module's shapes were), and ``collect`` takes what all earlier ``submit`` gave as an argument.
* Results and, where memory is shared with the module, arguments have memory of their own: compilers use memory again.
* An exported program calls ``remotemod::call``, which is an ordinary remote call to autograd.
* ``torch.fx`` asks a module's ``__module__`` whether it is a leaf; a handle (not its class) answers as torch's own modules do.
"""
