"""The contract that every backend passes, as a class of tests to inherit from."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from torch import nn

import remotemod as rm
from remotemod.testing.calls import CallsOfModules
from remotemod.testing.futures import Futures
from remotemod.testing.gradients import Gradients
from remotemod.testing.helpers import not_a_module
from remotemod.testing.names import Names
from remotemod.testing.references import References
from remotemod.testing.zoo import Echo, Failing, Refusing

__all__ = ["BackendConformance"]


class BackendConformance(CallsOfModules, References, Futures, Gradients, Names):
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

    # --- errors -------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", ["ValueError", "KeyError", "OSError", "ZeroDivisionError"])
    def test_a_remote_exception_keeps_its_type(self, cluster: rm.Cluster, kind: str) -> None:
        """The module's error is caught by its own type, with the remote traceback."""
        import builtins

        failing = rm.RemoteModule("one", Failing, cluster=cluster)
        with pytest.raises(getattr(builtins, kind), match="boom from afar"):
            failing(kind)
        assert isinstance(failing.forward_async(kind).exception(), getattr(builtins, kind))

    def test_a_constructors_error_is_raised(self, cluster: rm.Cluster) -> None:
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

    # --- the end ------------------------------------------------------------------------------

    def test_a_closed_cluster_says_so(self, cluster: rm.Cluster) -> None:
        """After ``close`` a call fails with a clear error."""
        with cluster:
            remote = rm.RemoteModule("one", Echo, cluster=cluster)
        with pytest.raises(rm.RemoteModError, match="closed"):
            remote(1)
        cluster.close()
