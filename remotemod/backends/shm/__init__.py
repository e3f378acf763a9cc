"""The default backend: worker processes on this machine, reached over Unix sockets and shared memory.

It implements :class:`remotemod.rpc.engine.Engine` itself, not a transport of messages, because a small call has to cost
tens of microseconds. How it works, and why so:

**Workers.** ``remotemod.backends.processes`` forks them. A worker serves the process that launched it on an inherited
socket, and every other process of the same user on an abstract one, which leaves no file behind; both ends check the
user (``SO_PEERCRED``), because values may carry code. It ends with its launching process's connection. A process that
connects from outside finds the names of the sockets in ``/proc/net/unix`` and asks the first worker for all others.

**Messages.** A message is a fixed prefix, a table of frames, a header, and the small frames inline. Frames of 64 KiB
and more lie in shared memory, and the table has their offsets.

**The arena** is one memfd for each direction of a connection, passed along with its first byte and mapped once by both
ends. It has its full size from the beginning but is sparse: the system allocates pages at their first use, and they stay
warm. (A segment for each step of growth would need a descriptor each, and could not give a part back.) The sender
allocates a block for each frame and copies the bytes there; what the receiver decodes lies over it. When the last tensor
there is freed, its offset goes back with the receiver's next message. So results are neither copied nor ever
overwritten, and thousands can be held without a descriptor each. Blocks are allocated from the lowest offset on; pages
that the last 256 messages did not need go back to the system. Frames that find no room, or no memfd, travel inline.

**The heap** is a memfd of the process, passed along with every connection, in which ``rm.empty`` makes tensors. The
sender recognises them by their address and sends the offset alone. A block is freed when neither this process nor any
receiver has a tensor there. It belongs to the process and not to a connection, so that one tensor goes to several
workers, and on to others, without a copy.

**Plain calls** (numbers, text, dense tensors) skip the codec: ``wire/fast_path.py`` packs their values in one pass. What
all calls of one method of one module have in common is worked out once, as a prepared call, and announced to the worker,
which keeps an endpoint for it; from then on its number in the prefix is enough. The number of a graph that the worker
keeps for backward comes back in the same field of the reply.

**Reading.** There is no reader thread: waking it would cost more than a small call. The threads that wait for replies
share the connection by the leader/followers pattern: one leads, which means that it reads until its own reply has
arrived and completes the futures of the others on the way; then the next one leads. A callback that calls or waits finds
that its thread leads already. Only where no thread waits (callbacks, ``await``) a background thread reads, and it ends
when nothing is in flight. While its socket is full a sender reads, so two full sockets cannot block each other.

**Waiting.** A thread that waits for bytes busy-polls for a millisecond before it sleeps: on a virtual machine waking a
thread takes longer than a whole small call, and a peer that is kept waiting goes to sleep too. Each busy-poll in vain
before a short wait doubles the number of waits without one (127 at most), so on a crowded machine, and beside long
work, threads sleep at once.

**Interrupts.** Ctrl-C may come after any call of a function. Locks know their holder and are released by an assignment;
bytes are counted in the same step in which they are read or written. What the socket has not taken is known to the byte,
so a deadline or Ctrl-C in the middle of a message leaves a connection that goes on with the rest. A message of which
nothing was taken is withdrawn.

**On the worker** the thread that has read a call runs it, while the next thread reads on: so the calls of one caller
begin in their order, and ``max_concurrency`` of them run at once. After a call of more than half a millisecond the worker
first reads all that has arrived, and does not begin calls that were cancelled meanwhile.

**Forks.** A forked child disowns every engine of its parent: its calls fail, and nothing that ends there reaches the
workers. It begins with a heap of its own.

The files, in reading order:

* ``door``: ``launch`` and ``connect``, with their options.
* ``engine``: the workers of a cluster, and a connection to each.
* ``prepared``: the prepared calls of one method.
* ``connection``: sends calls and completes their futures; the caller's end.
* ``pending``: the calls in flight and their futures.
* ``leader_followers``: how threads share the reading.
* ``background_reader``: the thread that reads where no other waits.
* ``interrupt_safe_lock``: the lock that survives Ctrl-C, for readers and for senders.
* ``replies``: packs and unpacks replies.
* ``protocol``: the format of messages.
* ``channel``: a sender and a receiver over one socket.
* ``sender``: whole messages, frames in shared memory, small messages from finalizers.
* ``send_buffer``: the bytes that the socket has not taken yet.
* ``receiver``: messages out of a stream of bytes.
* ``poller``: busy-polls, then sleeps.
* ``memory``: memfds of this process and of its peers, and the offsets that were reclaimed.
* ``free_list``: allocates offsets.
* ``arena``: the blocks of one direction of a connection.
* ``heap``: ``rm.empty``.
* ``worker``: the main function of a worker process.
* ``server``: the worker's end of a connection.
* ``cluster_info``: what a worker tells those that connect.
* ``sockets``: the sockets on which workers listen.
"""
