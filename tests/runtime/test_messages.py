"""What the public door for backends promises: messages, the order of what nobody answers, sessions that end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import remotemod as rm
from remotemod.backends.base import (
    Capabilities,
    Cluster,
    Engine,
    Future,
    Message,
    MessageEngine,
    Transport,
    WorkerServer,
)
from remotemod.rpc.current import _OWN
from remotemod.testing.helpers import eventually

TENSORS = st.lists(
    st.integers(0, 40).flatmap(
        lambda size: st.sampled_from([torch.uint8, torch.float32, torch.int64, torch.bfloat16]).map(
            lambda dtype: torch.arange(size).to(dtype)
        )
    ),
    max_size=4,
)


@given(header=st.binary(max_size=200), tensors=TENSORS)
def test_a_message_of_bytes_is_the_message(header: bytes, tensors: list[torch.Tensor]) -> None:
    """What travels is the header and the bytes of each tensor."""
    arrived = Message.from_bytes(Message(header, tensors).to_bytes())
    assert arrived.header == header
    assert [t.numel() for t in arrived.tensors] == [t.numel() * t.itemsize for t in tensors]
    for sent, found in zip(tensors, arrived.tensors, strict=True):
        assert bytes(found.tolist()) == bytes(sent.view(torch.uint8).tolist())


@given(data=st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    """Damaged bytes are an error and allocate nothing that they only claim."""
    try:
        message = Message.from_bytes(data)
    except rm.ProtocolError:
        return
    assert len(message.header) + sum(t.numel() for t in message.tensors) <= len(data)


def test_a_truncated_message_is_refused() -> None:
    """Its lengths say more than has arrived."""
    whole = Message(b"header", [torch.arange(100)]).to_bytes()
    with pytest.raises(rm.ProtocolError):
        Message.from_bytes(whole[:-1])


def test_a_forgotten_method_is_an_error() -> None:
    """An engine that cannot submit cannot be made."""

    class Half(Engine):
        name = "half"

    with pytest.raises(TypeError, match="submit"):
        Half()


def test_an_engine_without_workers_is_an_error() -> None:
    """What every cluster asks for is asked for at once."""

    class Silent(Engine):
        name = "silent"
        capabilities = Capabilities(processes=False, code=True)

        def submit(self, worker: str, request: object, timeout: float | None) -> Future[object]:
            raise AssertionError

        def post(self, worker: str, request: object) -> None:
            raise AssertionError

        def close(self) -> None:
            """Nothing is open."""

    with pytest.raises(TypeError, match="Silent has no attribute 'workers'"):
        Cluster(Silent())


class Threads(Transport):
    """A worker in this process, whose messages cross as bytes, each handled in a thread of its own."""

    def __init__(self, server: WorkerServer | None = None) -> None:
        self.workers = ["one"]
        self.server = server
        self.slow = threading.Event()
        self.slow.set()
        self._threads = ThreadPoolExecutor(4)

    def request(self, worker: str, message: Message, timeout: float | None) -> Future[Message]:
        reply: Future[Message] = Future("a reply")
        data = message.to_bytes()

        def run() -> None:
            self.slow.wait()
            reply.set_result(self._handle(data))

        self._threads.submit(run)
        return reply

    def notify(self, worker: str, message: Message) -> None:
        self._handle(message.to_bytes())

    def _handle(self, data: bytes) -> Message:
        assert self.server is not None
        reply = self.server.session("caller").handle(Message.from_bytes(data))
        return Message.from_bytes(reply.to_bytes())

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def own_cluster() -> Iterator[None]:
    """A worker in the tests' own process leaves no trace of its cluster."""
    before = _OWN.value
    yield
    _OWN.value = before


def opened(heartbeat: float | None = None, silence: float | None = None) -> tuple[Cluster, Threads]:
    transport = Threads(WorkerServer("one", Threads(), backend="threads", silence=silence))
    return Cluster(MessageEngine(transport, name="threads", heartbeat=heartbeat)), transport


class Kept:
    """Something that a worker keeps."""

    alive = 0

    def __init__(self) -> None:
        Kept.alive += 1

    def __del__(self) -> None:
        Kept.alive -= 1

    def number(self) -> int:
        return 7


def test_a_release_waits_for_the_calls_before_it(own_cluster: None) -> None:
    """The last handle goes while a call on it is under way: the call still finds its object."""
    cluster, transport = opened()
    with cluster:
        ref = rm.remote("one", Kept)
        transport.slow.clear()
        answer = ref.rpc_async().number()
        del ref
        gc.collect()
        transport.slow.set()
        assert answer.wait(30) == 7
        assert eventually(lambda: Kept.alive == 0)


def test_a_silent_caller_is_gone(own_cluster: None) -> None:
    """Without a heartbeat what a caller held goes when it was silent for long."""
    cluster, _ = opened(silence=0.2)
    with cluster:
        ref = rm.remote("one", Kept)
        assert eventually(lambda: Kept.alive == 0)
        with pytest.raises(rm.RemoteModError, match="keeps no object"):
            ref.rpc_sync().number()


@pytest.mark.slow
def test_a_heartbeat_keeps_a_caller(own_cluster: None) -> None:
    """A caller that waits and says nothing else is no dead one."""
    cluster, _ = opened(silence=2.0, heartbeat=0.05)
    with cluster:
        ref = rm.remote("one", Kept)
        time.sleep(3.0)
        assert ref.rpc_sync().number() == 7
        del ref
        gc.collect()
        assert eventually(lambda: Kept.alive == 0)


class Foreign(Threads):
    """A transport whose replies are the standard library's futures."""

    def request(self, worker: str, message: Message, timeout: float | None) -> Any:
        return self._threads.submit(self._handle, message.to_bytes())


def test_a_reply_may_be_any_future(own_cluster: None) -> None:
    """What an engine's own library gives is taken as it is."""
    transport = Foreign(WorkerServer("one"))
    with Cluster(MessageEngine(transport)) as cluster:
        assert cluster.backend == "messages"
        assert rm.rpc_sync("one", int, ("7",)) == 7
        with pytest.raises(ValueError, match="invalid literal"):
            rm.rpc_sync("one", int, ("seven",))


def test_a_worker_without_a_transport_reaches_no_other(own_cluster: None) -> None:
    """It says so, and to whom it was to go."""
    cluster = WorkerServer("one").cluster
    with pytest.raises(rm.PlacementError, match="two"):
        rm.RemoteModule("two", nn.Identity, cluster=cluster)


def test_a_result_that_cannot_travel_fails_alone(own_cluster: None) -> None:
    """The error names the place in the result, and the next call works."""
    cluster, _ = opened()
    with cluster:
        with pytest.raises(rm.ProtocolError, match=r"value\['lock'\]"):
            rm.rpc_sync("one", locked)
        assert rm.rpc_sync("one", int, ("7",)) == 7


def locked() -> dict[str, object]:
    return {"lock": threading.Lock()}


def test_a_call_that_is_too_late_is_given_up(own_cluster: None) -> None:
    """Its deadline passes; the transport is told, and later calls go on."""
    cluster, transport = opened()
    with cluster:
        linear = rm.RemoteModule("one", nn.Linear, args=(2, 1))
        transport.slow.clear()
        with pytest.raises(rm.DeadlineExceeded):
            linear.with_options(timeout=0.05)(torch.ones(1, 2))
        transport.slow.set()
        assert linear(torch.ones(1, 2)).shape == (1, 1)
