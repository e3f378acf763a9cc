"""What each quantity is when it has been measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remotemod.bench.turns import Outcome

__all__ = ["Creation", "FanOut", "Latency", "Launch", "Memory", "Throughput"]


@dataclass(frozen=True)
class Latency:
    """One blocking echo of a tensor.

    Args:
        size: its bytes.
        ways: seconds a call, by way.
        floors: seconds of one copy of as many bytes, and of a few bytes there and back over a socket.
    """

    size: int
    ways: Mapping[str, Outcome]
    floors: Mapping[str, Outcome]


@dataclass(frozen=True)
class Throughput:
    """Many small echoes on their way at once.

    Args:
        in_flight: how many are sent before the first answer is waited for.
        ways: seconds for all of them, by way.
    """

    in_flight: int
    ways: Mapping[str, Outcome]


@dataclass(frozen=True)
class FanOut:
    """One small echo of every worker at once.

    Args:
        workers: how many there are.
        ways: seconds until all have answered, by way.
    """

    workers: int
    ways: Mapping[str, Outcome]


@dataclass(frozen=True)
class Creation:
    """Small modules built on a worker, and kept.

    Args:
        modules: how many in all.
        at_once: how many are asked for in a row before all of them must be there.
        ways: seconds a module, by way.
    """

    modules: int
    at_once: int
    ways: Mapping[str, Outcome]


@dataclass(frozen=True)
class Launch:
    """Starting workers, until each has answered.

    Args:
        workers: how many.
        cold: seconds in a process that has imported the library and not launched before, by peer.
        warm: seconds for as many more while those are there, by peer; only of those that can do so.
    """

    workers: int
    cold: Mapping[str, Outcome]
    warm: Mapping[str, Outcome]


@dataclass(frozen=True)
class Memory:
    """What an idle worker takes after one call.

    Args:
        workers: how many there are, which share what they can.
        ways: proportional set sizes of the workers in bytes, by peer.
    """

    workers: int
    ways: Mapping[str, Outcome]
