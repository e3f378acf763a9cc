"""Training through a remote module equals local training bit for bit, for every module of torch.nn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import remotemod as rm
from tests.training.bits import assert_bits
from tests.training.case import Case
from tests.training.nn_cases import CASES, WITHOUT_CASE, public_classes
from tests.training.step import Way, step_here, step_remotely
from tests.training.switches import SETTINGS

# Inputs of every form: dense, strided otherwise, nested, packed, given several times, complex, none at all.
LEAVES = {
    "Conv2d-channels_last",
    "Embedding",
    "Flatten-complex",
    "LSTM-packed",
    "LSTM-states",
    "Linear",
    "Linear-expanded",
    "Linear-input-without-grad",
    "Linear-no-rows",
    "Linear-transposed",
    "MaxUnpool2d",
    "MultiheadAttention-self",
    "TripletMarginLoss-swap=True",
}
# Cases whose first two outputs require grad.
SEVERAL = {
    "AdaptiveLogSoftmaxWithLoss",
    "GRU-packed",
    "GRU-state",
    "LSTM-deep",
    "LSTM-states",
    "LSTMCell-states",
    "MultiheadAttention-cross",
}
# A few that draw, write in place, keep statistics or return several tensors.
LATER = {"BatchNorm2d", "Dropout", "LSTM-deep", "LazyConv2d", "ReLU-inplace=True", "Sequential"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.NLLLoss2d. has been deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True, but:UserWarning"),
]


WORKER = "owner"


@pytest.fixture(scope="module", params=SETTINGS)
def options(request: pytest.FixtureRequest, fork_server: None) -> Iterator[dict[str, Any]]:
    """Options of the remote module; their backend has a worker."""
    backend, options = request.param
    with rm.launch(workers=[WORKER], backend=backend):
        yield options


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """One test for each case."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


def named(ids: set[str]) -> list[Case]:
    """The cases with these names."""
    found = [case for case in CASES if case.id in ids]
    assert len(found) == len(ids)
    return found


def assert_parity(case: Case, options: dict[str, Any], way: Way, here: Way | None = None) -> None:
    """A step through a remote module gives what it gives here, done in the same way or as ``here`` says."""
    remote = step_remotely(case, WORKER, way, options)
    local = step_here(case, here or way)
    for what, found, expected in zip(local._fields, remote, local, strict=True):
        assert_bits(found, expected, what)


def test_every_class_has_a_case_or_a_reason() -> None:
    """A class that a new torch brings needs a row or a reason; neither outlives its class."""
    with_case = {case.cls.__name__ for case in CASES}
    assert not with_case & set(WITHOUT_CASE)
    assert set(public_classes()) == with_case | set(WITHOUT_CASE)


def test_every_case_has_a_name_of_its_own() -> None:
    """A report names one case."""
    ids = Counter(case.id for case in CASES)
    assert [name for name, count in ids.items() if count > 1] == []


@pytest.mark.slow
@each(CASES)
def test_a_step_equals_the_local_one(case: Case, options: dict[str, Any]) -> None:
    """Outputs, all gradients, buffers and random numbers are those of a module that is here."""
    assert_parity(case, options, Way())


@each(named(LEAVES))
def test_leaves_get_the_local_gradients(case: Case, options: dict[str, Any]) -> None:
    """Nothing need have been computed before the remote module."""
    assert_parity(case, options, Way(leaves=True))


@pytest.mark.parametrize("only", [0, 1])
@each(named(SEVERAL))
def test_backward_may_begin_at_one_output(case: Case, only: int, options: dict[str, Any]) -> None:
    """Outputs that were not used add nothing, not even zeros."""
    assert_parity(case, options, Way(only=only))


@each(named(LATER))
def test_a_future_has_the_local_gradients(case: Case, options: dict[str, Any]) -> None:
    """What ``forward_async`` gives is as good as what ``forward`` gives."""
    later = Way(call=lambda module, *args, **kwargs: module.forward_async(*args, **kwargs).wait())
    assert_parity(case, options, later, here=Way())
