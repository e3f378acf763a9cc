"""The contract's tests of calls: values, signatures, futures, profiles."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.helpers import assert_same, meet
from remotemod.testing.zoo import Calls, Echo, Label, Results, Scores

__all__ = ["CallsOfModules"]


class CallsOfModules:
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

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
        """A callback runs though no thread waits, and ``then`` gives the future of its result."""
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
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            echo(1)
            doubler.forward_async(torch.ones(1), 2).wait()
        keys = {event.key for event in profiled.key_averages()}
        assert f"rpc_async#forward({cluster.caller} -> one)" in keys
        assert f"rpc_async_jit#forward({cluster.caller} -> two)" in keys
