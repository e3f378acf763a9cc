"""The split language model: its text, that splitting changes no bit, and the whole program."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path

import pytest
import torch

import remotemod as rm
from examples.split_rnn.model import sample, split, unsplit
from examples.split_rnn.text import Text, batches, load
from examples.split_rnn.training import perplexity, steps_of_split, steps_of_unsplit
from tests.examples.strangers import run


@pytest.fixture(scope="module")
def text() -> Text:
    return load(6_000)


def test_what_is_held_out_is_not_known_already(text: Text) -> None:
    """The last tenth of the text, in which no paragraph comes twice."""
    whole = text.decode(torch.cat([text.training, text.held_out]))
    assert len(whole) == 6_000
    assert len(text.held_out) == 600
    paragraphs = whole.split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 20
    assert torch.equal(text.encode(whole[:50]), text.training[:50])


def test_a_batch_goes_on_where_the_last_one_ended() -> None:
    """Each row is one long part of the text, and what is wanted is what comes next."""
    numbers = torch.arange(101)
    found = list(batches(numbers, rows=4, length=10))
    assert [tuple(given.shape) for given, _ in found] == [(10, 4), (10, 4), (5, 4)]
    assert torch.equal(torch.cat([given for given, _ in found]).T, numbers[:100].view(4, 25))
    assert all(torch.equal(wanted, given + 1) for given, wanted in found)
    with pytest.raises(ValueError, match="3 characters are too few for 4 rows"):
        next(batches(numbers[:3], rows=4, length=10))


def test_the_baselines_are_what_they_should_be() -> None:
    """Two characters, equally frequent: who knows no more than that hesitates between two."""
    numbers = torch.tensor([0, 1] * 50)
    assert Text("ab", numbers, numbers).unigram_perplexity() == pytest.approx(2)
    model = unsplit(2, 4)
    torch.nn.init.zeros_(model.decoder.weight)
    torch.nn.init.zeros_(model.decoder.bias)
    assert perplexity(model, numbers) == pytest.approx(2)


@pytest.mark.slow  # the first optimizer of a process loads much of torch
def test_the_split_model_learns_what_the_unsplit_one_learns(shm: rm.Cluster, text: Text) -> None:
    """Losses, norms, weights, perplexity and what it writes: the same bits."""
    torch.manual_seed(0)
    whole = unsplit(len(text.alphabet), 16)
    parts = split(len(text.alphabet), 16, ("ps0", "ps1"))
    parts.load_state_dict(whole.state_dict())
    ours = list(itertools.islice(steps_of_split(parts, text), 8))
    theirs = list(itertools.islice(steps_of_unsplit(whole, text), 8))
    assert ours == theirs
    assert ours[-1].loss < ours[0].loss
    weights = parts.state_dict()
    for name, weight in whole.state_dict().items():
        assert torch.equal(weights[name], weight), name
    assert perplexity(parts, text.held_out) == perplexity(whole, text.held_out)
    written = [
        sample(model, text.encode("The "), 20, torch.Generator().manual_seed(0))
        for model in (parts, whole)
    ]
    assert torch.equal(*written)
    assert len(written[0]) == 24


@pytest.mark.slow
def test_the_program_learns_and_draws(tmp_path: Path) -> None:
    """A narrow model and few steps are enough to know more than how frequent characters are."""
    pytest.importorskip("matplotlib", reason="the plot is drawn by matplotlib")
    options = ("--width=48", "--steps=60", "--check=5", "--sample=40", "--characters=40000")
    done = run("split_rnn", *options, f"--out={tmp_path / 'out'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 steps: losses, gradient norms, and then all weights are the same" in done.stdout
    assert re.search(r"\(lower\): RemoteLSTM\(on='lower'", done.stdout)
    found = re.findall(
        r"^  (before training|unigram baseline|after training) +([\d.]+)$", done.stdout, re.M
    )
    assert [name for name, _ in found] == ["before training", "unigram baseline", "after training"]
    before, unigram, after = (float(value) for _, value in found)
    assert after < unigram < before
    [plot] = (tmp_path / "out").iterdir()
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_split_that_differs_fails_the_program(
    fork_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another learning rate for the unsplit model is found out and named."""
    pytest.importorskip("matplotlib", reason="the plot is drawn by matplotlib")
    program = importlib.import_module("examples.split_rnn.__main__")

    def slower(model: torch.nn.Module, text: Text) -> object:
        with monkeypatch.context() as patched:
            patched.setattr("examples.split_rnn.training.RATE", 1e-5)
            return steps_of_unsplit(model, text)  # type: ignore[arg-type]

    monkeypatch.setattr(program, "steps_of_unsplit", slower)
    few = ["--width=4", "--steps=2", "--check=2", "--sample=1", "--characters=2000"]
    monkeypatch.setattr("sys.argv", ["split_rnn", *few, f"--out={tmp_path}"])
    threads = torch.get_num_threads()
    try:
        assert program.main() == 1
    finally:
        torch.set_num_threads(threads)
    assert re.match(
        "error: split and unsplit differ: losses or norms, embedding.weight, lower.weight_ih_l0, ",
        capsys.readouterr().err,
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--steps=0"], "must be at least 1"),
        (["--steps=3", "--check=4"], "--check 4 is more than --steps 3"),
        ([f"--out={__file__}"], "is a file; name a folder"),
        (["--characters=20"], "--characters 20 is too few"),
    ],
)
def test_bad_options_start_nothing(
    wrong: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each error says what is wrong, before anything is started."""
    program = importlib.import_module("examples.split_rnn.__main__")
    monkeypatch.setattr("sys.argv", ["split_rnn", *wrong])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
