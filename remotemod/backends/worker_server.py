"""A worker that answers messages, whatever carries them."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Sequence

from remotemod.backends.message_engine import MessageEngine, Transport
from remotemod.backends.serialization import make_codec
from remotemod.errors import PlacementError
from remotemod.future import Future
from remotemod.owner.owner import Owner
from remotemod.owner.session import Session
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import set_process_cluster
from remotemod.rpc.messages import Message
from remotemod.wire.codec import Codec

__all__ = ["WorkerServer"]


class WorkerServer:
    """The owner of a worker process, its cluster of the other workers, and a session for each caller.

    Args:
        name: the worker's name.
        transport: carries messages to the other workers; None where none of them calls another.
        backend: the name under which ``rm.launch`` knows the backend.
        timeout: seconds that a call of this worker's own may take by default; None for no limit.
        silence: seconds without a message after which a caller counts as gone, for transports that do not notice its
            death; its engine then needs a ``heartbeat`` well below. None for never.
    """

    def __init__(
        self,
        name: str,
        transport: Transport | None = None,
        *,
        backend: str = "messages",
        timeout: float | None = None,
        silence: float | None = None,
    ) -> None:
        self._owner = Owner(name, reachable=True)
        engine = MessageEngine(
            transport or _Nowhere(),
            name=backend,
            caller=name,
            owner=self._owner,
            heartbeat=None if silence is None else silence / 3,
        )
        self.cluster = Cluster(engine, timeout=timeout)
        set_process_cluster(self.cluster)
        self._sessions: dict[str, Session] = {}
        self._last_seen: dict[str, float] = {}
        self._lock = threading.Lock()
        if silence is not None:
            watch = functools.partial(self._watch, silence)
            threading.Thread(target=watch, name="remotemod-silence", daemon=True).start()

    def session(self, caller: str) -> Session:
        """The session of a caller, made at its first message.

        Args:
            caller: a name that is unique to the process; for a worker, the worker's.
        """
        with self._lock:
            self._last_seen[caller] = time.monotonic()
            session = self._sessions.get(caller)
            if session is None:
                session = self._sessions[caller] = Session(self._owner, self._codec)
            return session

    def end_session(self, caller: str) -> None:
        """Release everything that a caller held. A caller without a session is ignored."""
        with self._lock:
            self._last_seen.pop(caller, None)
            session = self._sessions.pop(caller, None)
        if session is not None:
            session.end()

    def _codec(self, session: Session) -> Codec:
        return make_codec(
            receiver="", cluster=lambda: self.cluster, owner=self._owner, session=session
        )

    def _watch(self, silence: float) -> None:
        while True:
            time.sleep(silence / 3)
            now = time.monotonic()
            with self._lock:
                silent = [
                    caller for caller, seen in self._last_seen.items() if now - seen > silence
                ]
            for caller in silent:
                self.end_session(caller)


class _Nowhere(Transport):
    """The transport of a worker that reaches no other."""

    workers: Sequence[str] = ()

    def request(self, worker: str, message: Message, timeout: float | None) -> Future[Message]:
        raise PlacementError(
            f"this worker has no way to '{worker}': its server was made without a transport"
        )

    def notify(self, worker: str, message: Message) -> None:
        """Do nothing: there is no other worker."""

    def close(self) -> None:
        """Do nothing."""
