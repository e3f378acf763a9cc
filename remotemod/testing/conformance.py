"""The contract that every backend passes, as a class of tests to inherit from."""

from __future__ import annotations

import gc
import inspect
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.futures import Futures
from remotemod.testing.gradients import Gradients
from remotemod.testing.helpers import (
    Tracked,
    TrackedModule,
    again,
    alive,
    apply,
    assert_same,
    eventually,
    is_training,
    meet,
    not_a_module,
    total,
)
from remotemod.testing.names import Names
from remotemod.testing.zoo import Calls, Echo, Failing, Label, Refusing, Results, Scores

__all__ = ["BackendConformance"]


class BackendConformance(Futures, Gradients, Names):
    """Inherit, name the backend, and let pytest collect the subclass.

    Example::

        class TestMine(BackendConformance):
            backend = "mine"

    Override :meth:`open` where ``rm.launch`` needs options or something else must be started first.
    """

    backend = "shm"

    @classmethod
    def open(cls, workers: list[str]) -> rm.Cluster:
        """A fresh cluster with workers of these names."""
        return rm.launch(workers=workers, backend=cls.backend)

    @pytest.fixture(scope="class")
    @classmethod
    def _clusters(cls) -> Iterator[list[rm.Cluster]]:
        clusters: list[rm.Cluster] = []
        yield clusters
        for cluster in clusters:
            cluster.close()

    @pytest.fixture
    def cluster(self, _clusters: list[rm.Cluster]) -> rm.Cluster:
        """A cluster of two workers, shared by the tests of the class until one closes it."""
        if not _clusters or _clusters[-1].closed:
            _clusters.append(self.open(["one", "two"]))
        return _clusters[-1]

    # --- workers ------------------------------------------------------------------------------

    def test_workers_are_named_and_answer(self, cluster: rm.Cluster) -> None:
        """Every worker is listed by rank and answers a ping."""
        assert cluster.workers == ["one", "two"]
        assert all(cluster.ping(worker) >= 0 for worker in cluster.workers)

    def test_an_unknown_worker_is_an_error_that_names_the_known(self, cluster: rm.Cluster) -> None:
        """A worker that does not exist is refused at once."""
        with pytest.raises(rm.PlacementError, match="one, two"):
            rm.RemoteModule("three/cpu", nn.Identity, cluster=cluster)

    def test_a_rank_names_a_worker(self, cluster: rm.Cluster) -> None:
        """``rank:1`` is the second worker."""
        assert rm.RemoteModule("rank:1/cpu", nn.Identity, cluster=cluster).on == "two"

    # --- values -------------------------------------------------------------------------------

    def test_results_keep_their_type_and_bits(self, cluster: rm.Cluster) -> None:
        """Each kind of result equals the local one and has its type."""
        remote, local = rm.RemoteModule("one", Results, cluster=cluster), Results()
        x = torch.randn(3, 2)
        with torch.no_grad():
            assert torch.equal(remote(x), local(x))
            assert_same(remote.mapping(x), local.mapping(x))
            named = remote.named(x)
            assert type(named) is Scores
            assert_same(named, local.named(x))
            labelled = remote.labelled(x)
            assert type(labelled) is Label
            assert_same(labelled.parts, local.labelled(x).parts)
            assert remote.nothing() is None
            assert remote.scalar(x) == local.scalar(x)
            assert_same(remote.nested(x), local.nested(x))
            packed = remote.packed(x)
            assert type(packed) is type(local.packed(x))
            assert_same(tuple(packed), tuple(local.packed(x)))
            assert_same(remote.many(20), local.many(20))

    @pytest.mark.parametrize("size", [0, 1, 100, 70_000, 300_000, 3_000_000])
    def test_tensors_of_every_size_survive(self, cluster: rm.Cluster, size: int) -> None:
        """Sizes around every threshold of a transport come back equal."""
        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        value = {"a": torch.arange(size, dtype=torch.uint8), "b": [torch.rand(3), torch.ones(())]}
        assert_same(echo(value), value)

    def test_a_torch_module_equals_the_local_one(self, cluster: rm.Cluster) -> None:
        """An LSTM with the same weights gives the same bits, nested tuples and all."""
        remote = rm.RemoteModule("two/cpu", nn.LSTM, args=(8, 16), cluster=cluster)
        local = nn.LSTM(8, 16)
        remote.load_state_dict(local.state_dict())
        x = torch.randn(5, 2, 8)
        with torch.no_grad():
            assert_same(remote(x), local(x))

    def test_results_outlive_later_calls(self, cluster: rm.Cluster) -> None:
        """No later call writes into an earlier result."""
        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        results = [echo(torch.full((70_000,), i)) for i in range(20)]
        assert all(bool((r == i).all()) for i, r in enumerate(results))

    # --- signatures ---------------------------------------------------------------------------

    def test_signatures_are_the_interfaces(self, cluster: rm.Cluster) -> None:
        """``inspect.signature`` of each method is that of the module's own."""
        remote, local = rm.RemoteModule("one", Calls, cluster=cluster), Calls()
        for name in ("forward", "text", "owned", "only", "none"):
            assert inspect.signature(getattr(remote, name)) == inspect.signature(
                getattr(local, name)
            )

    def test_every_kind_of_parameter_arrives(self, cluster: rm.Cluster) -> None:
        """Positional-only, defaults, ``*args``, keyword-only and ``**kwargs`` arrive as given."""
        remote = rm.RemoteModule("one", Calls, cluster=cluster)
        x = torch.ones(2)
        assert remote(x)[1:] == (3, (), True, {})
        assert remote(x, 1, 2, 3, flag=False, device="d", module=1)[1:] == (
            1,
            (2, 3),
            False,
            {"device": "d", "module": 1},
        )
        assert remote.text() == ("de'fa\"ult", float("inf"))
        assert remote.owned() == Calls().owned()
        assert torch.equal(remote.only(x=x), x * 2)
        assert remote.none() == "nothing"

    # --- asynchrony ---------------------------------------------------------------------------

    def test_futures_complete_in_any_order_of_waiting(self, cluster: rm.Cluster) -> None:
        """Many calls in flight, waited for backwards, give each its own result."""
        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        futures = [echo.forward_async(i) for i in range(200)]
        assert [f.wait() for f in reversed(futures)] == list(reversed(range(200)))

    def test_callbacks_run_and_chain(self, cluster: rm.Cluster) -> None:
        """A callback runs though nobody waits, and ``then`` gives the future of what it returns."""
        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        seen = threading.Event()
        future = echo.forward_async(20)
        future.add_done_callback(lambda f: seen.set())
        assert seen.wait(10)
        assert echo.forward_async(20).then(lambda f: f.wait() + 1).wait(10) == 21

    def test_futures_can_be_awaited(self, cluster: rm.Cluster) -> None:
        """``await`` gives the result."""
        import asyncio

        echo = rm.RemoteModule("one", Echo, cluster=cluster)

        async def gather() -> list[Any]:
            return list(await asyncio.gather(*(echo.forward_async(i) for i in range(10))))

        assert asyncio.run(gather()) == list(range(10))

    def test_threads_share_a_handle(self, cluster: rm.Cluster) -> None:
        """Calls of several threads at once each get their own answer."""
        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        wrong: list[int] = []

        def work(base: int) -> None:
            wrong.extend(i for i in range(base, base + 50) if echo(i) != i)

        threads = [threading.Thread(target=work, args=(n * 100,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not wrong

    def test_two_workers_run_at_the_same_time(self, cluster: rm.Cluster, tmp_path: Path) -> None:
        """Calls to two workers do not wait for each other: each ends when both have begun."""
        one, two = str(tmp_path / "one"), str(tmp_path / "two")
        futures = [rm.rpc_async("one", meet, (one, two)), rm.rpc_async("two", meet, (two, one))]
        assert [future.wait() for future in futures] == [True, True]

    # Both are torch's own: the first on torch_rpc, the second before torch 2.11.
    @pytest.mark.filterwarnings("ignore:Profiling a distributed call")
    @pytest.mark.filterwarnings("ignore:.*Profiler clears events at the end of each cycle")
    def test_calls_show_in_profiles(self, cluster: rm.Cluster) -> None:
        """A call is named by method, caller and owner, as torch's own RPC names its calls."""
        from torch.profiler import ProfilerActivity, profile

        from remotemod.testing.scripts import Doubler, DoublerInterface

        echo = rm.RemoteModule("one", Echo, cluster=cluster)
        doubler = rm.RemoteModule("two", Doubler, interface=DoublerInterface, cluster=cluster)
        with profile(activities=[ProfilerActivity.CPU]) as found:
            echo(1)
            doubler.forward_async(torch.ones(1), 2).wait()
        keys = {event.key for event in found.key_averages()}
        assert f"rpc_async#forward({cluster.caller} -> one)" in keys
        assert f"rpc_async_jit#forward({cluster.caller} -> two)" in keys

    # --- errors -------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", ["ValueError", "KeyError", "OSError", "ZeroDivisionError"])
    def test_a_remote_exception_keeps_its_type(self, cluster: rm.Cluster, kind: str) -> None:
        """What the module raises is caught as what it is, with the remote traceback."""
        import builtins

        failing = rm.RemoteModule("one", Failing, cluster=cluster)
        with pytest.raises(getattr(builtins, kind), match="boom from afar"):
            failing(kind)
        assert isinstance(failing.forward_async(kind).exception(), getattr(builtins, kind))

    def test_a_constructor_that_raises_is_heard(self, cluster: rm.Cluster) -> None:
        """The remote constructor's own error comes out of ours."""
        with pytest.raises(ValueError, match="no such weights"):
            rm.RemoteModule("one", Refusing, cluster=cluster)

    def test_what_is_no_module_is_refused(self, cluster: rm.Cluster) -> None:
        """A factory must return an ``nn.Module``."""
        with pytest.raises(ValueError, match=r"returns an instance of <class nn\.Module>"):
            rm.RemoteModule("one", not_a_module, cluster=cluster)

    def test_a_deadline_ends_a_call_and_spares_the_next(self, cluster: rm.Cluster) -> None:
        """A call that takes too long fails alone."""
        with pytest.raises(rm.DeadlineExceeded):
            rm.rpc_sync("one", time.sleep, (0.5,), timeout=0.05)
        assert rm.rpc_sync("one", int, ("7",)) == 7

    # --- functions and references -------------------------------------------------------------

    def test_functions_run_on_the_worker(self, cluster: rm.Cluster) -> None:
        """Python functions, torch builtins and scripted functions all run."""
        assert rm.rpc_sync("one", len, ([1, 2],)) == 2
        assert torch.equal(rm.rpc_sync("one", torch.add, (torch.ones(2), 1)), torch.full((2,), 2.0))
        offset = 5
        assert rm.rpc_async("two", lambda x: x + offset, (1,)).wait() == 6

    def test_references_are_counted(self, cluster: rm.Cluster) -> None:
        """The value lives as long as a handle does, and no longer."""
        ref = rm.remote("one", Tracked, ("a",))
        assert ref.owner_name() == "one"
        assert ref.rpc_sync().name() == "a"
        assert rm.rpc_sync("one", alive) == 1
        second = rm.rpc_sync("one", again, (ref,))
        del ref
        gc.collect()
        assert rm.rpc_sync("one", alive) == 1
        del second
        gc.collect()
        assert eventually(lambda: rm.rpc_sync("one", alive) == 0)

    def test_references_travel_between_workers(self, cluster: rm.Cluster) -> None:
        """A worker uses what another one owns."""
        ref = rm.remote("one", torch.ones, (3,))
        assert torch.equal(rm.rpc_sync("two", total, (ref,)), torch.tensor(3.0))

    def test_a_remote_module_travels(self, cluster: rm.Cluster) -> None:
        """A remote module passed to another worker is called from there."""
        echo = rm.RemoteModule("one", Results, cluster=cluster)
        with torch.no_grad():
            assert torch.equal(
                rm.rpc_sync("two", apply, (echo, torch.ones(2))), torch.full((2,), 2.0)
            )

    def test_a_remote_module_is_released(self, cluster: rm.Cluster) -> None:
        """The owner lets a module go with its last handle."""
        remote = rm.RemoteModule("two", TrackedModule, cluster=cluster)
        assert rm.rpc_sync("two", alive) == 1
        del remote
        gc.collect()
        assert eventually(lambda: rm.rpc_sync("two", alive) == 0)

    # --- what acts on the module --------------------------------------------------------------

    def test_modes_and_weights_reach_the_module(self, cluster: rm.Cluster) -> None:
        """``train``, ``eval``, ``state_dict`` and parameters are the remote module's."""
        remote = rm.RemoteModule("one", nn.Linear, args=(2, 3), cluster=cluster)
        assert remote.eval() is remote
        assert remote.module_rref.rpc_sync().extra_repr()
        assert rm.rpc_sync("one", is_training, (remote.module_rref,)) is False
        remote.train()
        assert rm.rpc_sync("one", is_training, (remote.module_rref,)) is True
        refs = remote.remote_parameters()
        assert [tuple(r.to_here().shape) for r in refs] == [(3, 2), (3,)]
        state = {k: torch.zeros_like(v) for k, v in remote.state_dict().items()}
        remote.load_state_dict(state)
        with torch.no_grad():
            assert torch.equal(remote(torch.ones(1, 2)), torch.zeros(1, 3))

    # --- TorchScript --------------------------------------------------------------------------

    def test_a_scripted_caller_reaches_the_module(self, cluster: rm.Cluster) -> None:
        """A scripted model calls ``forward`` and ``forward_async`` of a remote submodule."""
        from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid

        remote = rm.RemoteModule("one", Doubler, interface=DoublerInterface, cluster=cluster)
        assert remote.is_scriptable
        scripted = torch.jit.script(Hybrid(remote))
        assert torch.equal(scripted(torch.ones(2)), torch.full((2,), 5.0))

    # --- the end ------------------------------------------------------------------------------

    def test_a_closed_cluster_says_so(self, cluster: rm.Cluster) -> None:
        """After ``close`` a call fails with a clear error."""
        with cluster:
            remote = rm.RemoteModule("one", Echo, cluster=cluster)
        with pytest.raises(rm.RemoteModError, match="closed"):
            remote(1)
        cluster.close()
