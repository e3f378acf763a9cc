"""Workers, and how a request reaches one: the seam between the runtime and the engines.

In reading order:

* ``engine``: what the runtime asks of an engine (submit a request, post one, prepare a call), and its defaults.
* ``messages``: requests and replies as bytes and tensors, for engines that carry those.
* ``cluster``: workers and the engine that reaches them; timeouts, stubs that were sent, open clusters.
* * ``current``: the cluster that is used where none is named.
* ``ref``: counted references to values on workers.
* ``placement``: device strings such as ``"ps0/cuda:0"``.
* ``registry``, ``launch``: backends by name; ``rm.launch`` and ``rm.connect``.

References are counted by the owner. Each caller has a session there, which counts the handles that the caller holds and
releases them when the caller ends. A reference that is sent to a third process is first retained on the owner under a token;
the receiver adopts it over its own connection, so the sender may release its own at once.
"""
