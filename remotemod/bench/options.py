"""What to measure: the options of a run, checked, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from remotemod.bench.peers import OURS, PEERS, choices, load
from remotemod.bench.turns import Pace, Turns
from remotemod.bench.wording import parse_size

__all__ = ["QUANTITIES", "Options", "names_in", "sizes_in", "turns_in"]

QUANTITIES = ("latency", "throughput", "fanout", "creation", "launch", "memory")

_SIZES = (4, 4 << 10, 256 << 10, 4 << 20, 64 << 20)
_QUICK_SIZES = (4, 256 << 10, 4 << 20)
_MOST_WORKERS = 256


@dataclass(frozen=True)
class Options:
    """A run.

    Args:
        only: the quantities to measure.
        against: the peers to measure beside ours; None for every one that is installed.
        sizes: of the tensors, in bytes; None for a usual range.
        workers: to launch, to call at once and to weigh; None for 20, 4 and 4.
        quick: measure less, for a first look.
        turns: whether a turn is a block of calls or a single one; see :class:`remotemod.bench.turns.Pace`.
        known: the peers that there are, and where each is implemented, as ``module:class``.

    Raises:
        ValueError: there is no such thing; the message says what there is.
    """

    only: Sequence[str] = QUANTITIES
    against: Sequence[str] | None = None
    sizes: Sequence[int] | None = None
    workers: int | None = None
    quick: bool = False
    turns: Turns = "blocks"
    known: Mapping[str, str] = field(default_factory=lambda: PEERS)

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= _MOST_WORKERS:
            raise ValueError(f"workers must be 1 to {_MOST_WORKERS}; got {self.workers}")
        _check(self.only, QUANTITIES)
        _check(self.against or (), choices(self.known))

    @property
    def peers(self) -> dict[str, str]:
        """The peers to measure, ours first, and where each is implemented."""
        against = self.against
        if against is None:
            names = choices(self.known)
            against = [name for name in names if load(self.known[name]).available() is None]
        return {name: self.known[name] for name in (OURS, *against)}

    @property
    def all_sizes(self) -> tuple[int, ...]:
        """The sizes to measure."""
        return tuple(self.sizes or (_QUICK_SIZES if self.quick else _SIZES))

    @property
    def launched(self) -> int:
        """Workers of a launch."""
        return self.workers or (4 if self.quick else 20)

    @property
    def called_at_once(self) -> int:
        """Workers of a fan-out, and those that are weighed."""
        return self.workers or (2 if self.quick else 4)

    @property
    def in_flight(self) -> int:
        """Calls that are under way at once."""
        return 200

    @property
    def created_at_once(self) -> int:
        """Modules that are created in a row."""
        return 10 if self.quick else 50

    @property
    def launch_rounds(self) -> tuple[int, float]:
        """Rounds of launches, and the seconds after which no further one begins."""
        return (1, 0.0) if self.quick else (5, 180.0)

    @property
    def pace(self) -> Pace:
        """The turns of most quantities."""
        pace = Pace(4, 2, 2.0) if self.quick else Pace(60, 8, 30.0, block=0.2, calls=5)
        return pace.single() if self.turns == "single" else pace

    @property
    def pipeline_pace(self) -> Pace:
        """The turns of pipelined calls; a call is a whole pipeline there."""
        pace = Pace(4, 2, 2.0, calls=1) if self.quick else Pace(60, 8, 30.0, calls=1)
        return pace.single() if self.turns == "single" else pace

    @property
    def creation_pace(self) -> Pace:
        """The turns of creation, a row of modules each; all are taken, for there is a number to reach."""
        return Pace(5, 5, 0.0, fixed=1) if self.quick else Pace(20, 20, 0.0, fixed=1)


def names_in(text: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The names in a list with commas, each once.

    Raises:
        ValueError: one of them is not allowed; the message says which are.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise ValueError(f"name at least one of {', '.join(allowed)}")
    _check(names, allowed)
    return names


def sizes_in(text: str) -> tuple[int, ...]:
    """The sizes in a list with commas, in bytes, from the smallest on.

    Raises:
        ValueError: one of them is no size; the message says what is.
    """
    return tuple(sorted({parse_size(part) for part in text.split(",")}))


def turns_in(text: str) -> Turns:
    """What a turn is.

    Raises:
        ValueError: it is neither ``blocks`` nor ``single``.
    """
    if text == "blocks":
        return "blocks"
    if text == "single":
        return "single"
    raise ValueError(f"a turn is one of blocks, single; got '{text}'")


def _check(names: Sequence[str], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"there is no '{name}'; there are {', '.join(allowed)}")
