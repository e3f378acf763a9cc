"""The contract's tests of gradients: a remote module trains as the local one does."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import remotemod as rm
from remotemod.testing.gradients_in_values import GradientsInValues
from remotemod.testing.helpers import alive, eventually
from remotemod.testing.pairs import (
    assert_alike,
    assert_equal,
    before_gradients,
    gradients_of,
    pair,
    state_before,
)
from remotemod.testing.trained import (
    Cubes,
    Noisy,
    Tagged,
    Through,
    calls,
    local_gradients,
    seed,
    statistics,
    tagged,
)

__all__ = ["Gradients"]


class Gradients(GradientsInValues):
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

    def test_parameters_get_gradients_when_no_input_requires_any(self, cluster: rm.Cluster) -> None:
        """The remote parameters alone are reason enough for a graph."""
        remote, local = pair("one", nn.Linear, cluster, 4, 2)
        for module in (remote, local):
            module(torch.ones(3, 4)).sum().backward()
        assert_equal(gradients_of(remote), local_gradients(local))

    def test_a_chain_of_workers_passes_gradients_on(self, cluster: rm.Cluster) -> None:
        """From this process to one worker, to the other, and back."""
        first, local_first = pair("one", nn.Linear, cluster, 4, 4)
        second, local_second = pair("two", nn.Linear, cluster, 4, 4)
        start = nn.Linear(4, 4)
        assert_alike(
            lambda x: second(first(start(x)).relu()),
            lambda x: local_second(local_first(start(x)).relu()),
        )
        assert_equal(gradients_of(first), local_gradients(local_first))
        assert_equal(gradients_of(second), local_gradients(local_second))

    def test_a_worker_passes_gradients_on_by_itself(self, cluster: rm.Cluster) -> None:
        """A module on one worker calls one on the other, and each gets its gradients."""
        other, local_other = pair("two", nn.Linear, cluster, 4, 4)
        remote = rm.RemoteModule("one", Through, args=(other,), cluster=cluster)
        local = Through(local_other)
        local.before.load_state_dict(state_before(remote))
        assert_alike(remote, local)
        assert_equal(gradients_of(other), local_gradients(local_other))
        before = rm.rpc_sync("one", before_gradients, (remote.module_rref,))
        assert_equal(before, local_gradients(local.before))

    def test_scripted_callers_pass_gradients_on(self, cluster: rm.Cluster) -> None:
        """As eager ones do, each time, and torch has nothing to warn of."""
        from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid

        remote = rm.RemoteModule("one", Doubler, interface=DoublerInterface, cluster=cluster)
        scripted = torch.jit.script(Hybrid(remote))
        for _ in range(3):  # from the second time on TorchScript runs optimized code
            x = torch.ones(2, requires_grad=True)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                scripted(x * 2).sum().backward()
            assert_equal([x.grad], [torch.full((2,), 10.0)])

    # Torch 2.11 says so of every sparse tensor, ours too, which are checked.
    @pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
    def test_sparse_gradients_stay_sparse(self, cluster: rm.Cluster) -> None:
        """An embedding's gradient holds the rows that were used."""
        remote, local = pair("one", nn.EmbeddingBag, cluster, 100, 4, sparse=True)
        for module in (remote, local):
            module(torch.tensor([[1, 2], [2, 99]])).sum().backward()
        (found,), (expected,) = gradients_of(remote), local_gradients(local)
        assert found is not None
        assert expected is not None
        assert found.is_sparse
        assert torch.equal(found.to_dense(), expected.to_dense())

    def test_without_gradients_there_is_no_graph(self, cluster: rm.Cluster) -> None:
        """Under ``no_grad`` nothing that comes back requires grad."""
        remote = rm.RemoteModule("one", nn.Linear, args=(2, 2), cluster=cluster)
        with torch.no_grad():
            assert not remote(torch.ones(2, requires_grad=True)).requires_grad
        frozen = rm.RemoteModule("one", nn.Linear, args=(2, 2), cluster=cluster).requires_grad_(
            False
        )
        assert not frozen(torch.ones(2)).requires_grad

    def test_functions_on_workers_are_in_the_graph(self, cluster: rm.Cluster) -> None:
        """``rpc_sync`` and methods of references pass gradients on; parameters that are asked for are copies."""
        x, y = torch.ones(2, requires_grad=True), torch.full((2,), 3.0, requires_grad=True)
        product: Any = rm.rpc_sync("one", torch.mul, (x, y))
        product.sum().backward()
        assert_equal([x.grad, y.grad], [torch.full((2,), 3.0), torch.ones(2)])
        remote = rm.RemoteModule("one", nn.Linear, args=(2, 2), cluster=cluster)
        if type(remote.module_rref) is rm.RemoteRef:  # and not one of the engine's own kind
            remote.module_rref.rpc_sync().forward(x).sum().backward()
            assert all(grad is not None for grad in gradients_of(remote))
            weight = remote.remote_parameters()[0].to_here()
            assert weight.is_leaf
            assert weight.requires_grad

    # --- when -----------------------------------------------------------------------------------

    def test_futures_may_be_waited_for_in_any_order(self, cluster: rm.Cluster) -> None:
        """Each asynchronous result has its own graph, whenever it is taken, even under ``no_grad``."""
        remote, local = pair("one", nn.Linear, cluster, 4, 4)
        x = torch.randn(4, requires_grad=True)
        futures = [remote.forward_async(x * i) for i in range(4)]
        with torch.no_grad():
            results = [future.wait() for future in reversed(futures)]
        sum((result * i for i, result in enumerate(results)), torch.zeros(4)).sum().backward()
        y = x.detach().clone().requires_grad_()
        sum((local(y * (3 - i)) * i for i in range(4)), torch.zeros(4)).sum().backward()
        assert x.grad is not None
        assert y.grad is not None
        torch.testing.assert_close(x.grad, y.grad)
        for found, expected in zip(gradients_of(remote), local_gradients(local), strict=True):
            torch.testing.assert_close(found, expected)

    def test_an_input_may_be_changed_after_the_call(self, cluster: rm.Cluster) -> None:
        """The gradient belongs to the value at the time of the call."""
        if cluster.capabilities.shares_memory:
            pytest.skip("values are handed over as they are, so the module sees the change too")
        remote = rm.RemoteModule("one", Cubes, cluster=cluster)
        x = torch.ones(4, requires_grad=True)
        argument = x * 2
        future = remote.forward_async(argument)
        assert eventually(future.done)  # some engines read what they send late
        argument.mul_(100)
        (grad,) = torch.autograd.grad(future.wait(), x)
        torch.testing.assert_close(grad, 3 * 4 * torch.linspace(0.5, 1.5, 4) * 2)

    def test_several_forwards_and_uses_before_one_backward(self, cluster: rm.Cluster) -> None:
        """A module called twice, one result used twice."""
        remote, local = pair("one", nn.Linear, cluster, 4, 4)

        def run(module: nn.Module, x: Tensor) -> Tensor:
            once: Tensor = module(x)
            result: Tensor = once * module(once) + once
            return result

        assert_alike(lambda x: run(remote, x), lambda x: run(local, x))
        assert_equal(gradients_of(remote), local_gradients(local))

    def test_a_graph_that_is_retained_can_be_used_again(self, cluster: rm.Cluster) -> None:
        """Gradients add up, and without ``retain_graph`` the next pass is refused."""
        remote, local = pair("one", nn.Linear, cluster, 4, 4)
        for module in (remote, local):
            total = module(torch.ones(4)).sum()
            total.backward(retain_graph=True)
            total.backward()
            with pytest.raises(RuntimeError, match="retain_graph"):
                total.backward()
        assert_equal(gradients_of(remote), local_gradients(local))

    # --- autograd's other functions ------------------------------------------------------------------

    def test_grad_leaves_remote_parameters_alone(self, cluster: rm.Cluster) -> None:
        """``autograd.grad`` returns gradients and accumulates none, as for a local module."""
        remote, local = pair("one", Cubes, cluster)
        x = torch.randn(4, requires_grad=True)
        found, expected = (torch.autograd.grad(m(x), x) for m in (remote, local))
        assert_equal(found, expected)
        unused = torch.ones(1, requires_grad=True)
        total: Any = remote(x) + unused.sum()
        total.backward(inputs=[unused])
        assert gradients_of(remote) == [None]

    def test_gradients_of_gradients(self, cluster: rm.Cluster) -> None:
        """A penalty on the gradient trains inputs and remote parameters."""
        remote, local = pair("one", Cubes, cluster)
        found: list[Any] = []
        for module in (remote, local):
            x = torch.linspace(-1.0, 1.0, 4).requires_grad_()
            (grad,) = torch.autograd.grad(module(x * 2), x, create_graph=True)
            (third,) = torch.autograd.grad(grad.square().sum(), x, create_graph=True)
            penalty: Any = grad.square().sum() + third.sum()
            penalty.backward()
            found.append([grad.detach(), third.detach(), x.grad])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)
        torch.testing.assert_close(gradients_of(remote), local_gradients(local))

    @pytest.mark.parametrize("reentrant", [False, True])
    def test_checkpoint_around_a_call(self, cluster: rm.Cluster, reentrant: bool) -> None:
        """A checkpointed part of a model may hold remote modules."""
        remote, local = pair("one", nn.Linear, cluster, 4, 4)

        def run(module: nn.Module, x: Tensor) -> Any:
            return checkpoint(lambda y: module(y.tanh()).sigmoid(), x, use_reentrant=reentrant)

        assert_alike(lambda x: run(remote, x), lambda x: run(local, x))
        assert_equal(gradients_of(remote), local_gradients(local))

    def test_recomputing_gives_the_same_gradients(self, cluster: rm.Cluster) -> None:
        """With ``recompute=True`` dropout masks and running statistics are those of one forward."""
        remote = rm.RemoteModule("one", Noisy, cluster=cluster, recompute=True)
        local = Noisy()
        local.load_state_dict(remote.state_dict())
        x = torch.randn(6, 4, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        rm.rpc_sync("one", seed, (7,))
        results = [remote(x), remote(x)]
        rm.rpc_sync("one", seed, (8,))  # the passes below draw from neither
        seed(7)
        expected = [local(y), local(y)]
        assert_equal(results, expected)
        assert rm.rpc_sync("one", calls, (remote.module_rref,)) == 2
        for result in results:
            result.square().sum().backward()
        assert rm.rpc_sync("one", calls, (remote.module_rref,)) == 4
        for result in expected:
            result.square().sum().backward()
        assert_equal([x.grad], [y.grad])
        assert_equal(gradients_of(remote), local_gradients(local))
        found = rm.rpc_sync("one", statistics, (remote.module_rref,))
        for name, buffer in local.named_buffers():
            assert torch.equal(found[name], buffer), name

    # --- steps ------------------------------------------------------------------------------------

    def test_steps_lead_to_the_local_weights(self, cluster: rm.Cluster) -> None:
        """One optimizer over both workers and this process, clipped by one norm, state and all."""
        first, local_first = pair("one", nn.Linear, cluster, 4, 4)
        last, local_last = pair("two", nn.Linear, cluster, 4, 2)
        middle, local_middle = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        model = nn.Sequential(first, middle, last)
        twin = nn.Sequential(local_first, local_middle, local_last)
        ours: Any = rm.RemoteOptimizer(torch.optim.Adam, model, lr=0.05)
        torchs = torch.optim.Adam(twin.parameters(), lr=0.05)
        inputs = torch.randn(5, 8, 4, generator=torch.Generator().manual_seed(3))
        for x in inputs:
            ours.zero_grad()
            torchs.zero_grad()
            model(x).square().sum().backward()
            twin(x).square().sum().backward()
            norm = rm.clip_grad_norm_(model, 1.0)
            assert torch.equal(norm, nn.utils.clip_grad_norm_(twin.parameters(), 1.0))
            ours.step()
            torchs.step()
        found, expected = model.state_dict(), twin.state_dict()
        assert list(found) == list(expected)
        assert_equal(list(found.values()), list(expected.values()))
        torchs.load_state_dict(ours.state_dict())
        twin.load_state_dict(found)

    # --- what owners keep -----------------------------------------------------------------------

    @pytest.mark.parametrize("recompute", [False, True])
    def test_owners_release_graphs(self, cluster: rm.Cluster, recompute: bool) -> None:
        """With the pass that used them, and with the last result of theirs in this process."""
        remote = rm.RemoteModule("one", Tagged, cluster=cluster, recompute=recompute)
        before = rm.rpc_sync("one", alive)
        x = torch.ones(3, requires_grad=True)
        used, dropped = remote(x), remote(x)
        assert rm.rpc_sync("one", alive) == before + 2
        used.sum().backward()
        if cluster.capabilities.shares_memory and not recompute:
            del used  # the graph is one with the caller's
        assert rm.rpc_sync("one", alive) == before + 1
        assert torch.equal(dropped, torch.full((3,), 2.0))
        del dropped
        assert eventually(lambda: rm.rpc_sync("one", alive) == before)
        remote.forward_async(x)  # its result is never taken
        assert eventually(lambda: rm.rpc_sync("one", alive) == before)
        rm.rpc_async("one", tagged, (x,))  # nor this
        assert eventually(lambda: rm.rpc_sync("one", alive) == before)

    def test_results_can_be_changed_in_place(self, cluster: rm.Cluster) -> None:
        """What a local result takes, a remote one takes."""
        remote, local = pair("one", nn.Linear, cluster, 4, 4)

        def run(module: nn.Module, x: Tensor) -> Tensor:
            result: Tensor = module(x)
            result[0] = 0.0
            return result.add_(1).mul_(3)

        assert_alike(lambda x: run(remote, x), lambda x: run(local, x))
        assert_equal(gradients_of(remote), local_gradients(local))
