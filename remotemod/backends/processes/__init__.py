"""Worker processes on this machine, forked from one that has loaded torch: the fork server.

The first launch pays for loading torch; each worker after it costs milliseconds, most of them the system's for the fork.
Backends that start their own workers (shm, torch_rpc) use :class:`remotemod.backends.processes.workers.Processes`.

It is not the standard library's fork server, for three reasons: that one imports the user's main module into every
child, so scripts would need a guard; it leaves a tracker process behind; and it does not say how a child ended, nor what
the child wrote to stderr last. Ours ends with the last cluster of the process that started it, or with that process; then
it ends the workers that are left.

* **Requests.** All workers of a cluster are one request (for each 250). Every request has a connection of its own, so
  that one which waits for a worker's end keeps no other waiting.
* **Stderr.** A worker's stderr is a pipe to the fork server, which passes everything on to the user's and keeps the last
  lines for ``WorkerLost``. It never blocks on the user's stderr: while that is full it reads nothing from the workers,
  and goes on with everything else. If the fork server dies, workers write to the user's stderr again.
* **Forks.** A process that is forked from a caller closes its copy of the control socket, so that the fork server and
  the workers end with the caller and not with its children.

The files, in reading order:

* ``workers``: the processes of one cluster, and what every new worker does first.
* ``client``: the caller's side of the fork server, shared by its clusters.
* ``server``: the process of the fork server, one event loop.
* ``children``: its workers, and the requests that wait for their ends.
* ``stderr``: the pipes, and the user's stderr.
* ``preload``: what the fork server imports.
"""
