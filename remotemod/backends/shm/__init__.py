"""The embedded default backend: forked workers, Unix sockets and memfd on one machine."""
