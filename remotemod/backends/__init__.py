"""Engines behind the seam of ``remotemod.rpc.engine``; ``base`` has the public names for authors of another.

* ``serialization``: the codec of references, handles and scripted modules, for all engines that send bytes.
* ``message_engine``, ``outbox``, ``worker_server``: an engine over a transport that carries messages.
* ``processes/``: worker processes on this machine. ``shm/``, ``torch_rpc/``, ``inproc``: the backends.

They are above ``handles/`` and ``archive/`` because values hold handles and models, which a codec must encode.
"""
