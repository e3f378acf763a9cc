"""The steps of the smoke program: each runs programs of ``smoke_programs/`` and the installed command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from running import environment

__all__ = ["CHECKERS", "STEPS", "Skipped", "Smoke", "StepFailed"]

PROGRAMS = Path(__file__).resolve().parent / "smoke_programs"
STEPS = (
    *("installed", "imports", "command", "readme", "generator", "calls", "training"),
    *("compiled", "torch_rpc", "scripted", "archive"),
)
"""Names of methods, in the order in which they run."""
CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--python-executable", sys.executable],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}


class StepFailed(Exception):
    """A step's reason, for the reader."""


class Skipped(Exception):
    """What this torch or this Python does not have."""


class Smoke:
    """The steps, over one temporary folder.

    Args:
        folder: where the user's programs lie; emptied by the caller.
        timeout: seconds that one process may take.
        torchscript: whether torch can script here; None to find out.
    """

    def __init__(self, folder: Path, timeout: float, torchscript: bool | None) -> None:
        self.user, self.elsewhere, self.stranger = (
            folder / name for name in ("user", "elsewhere", "stranger")
        )
        shutil.copytree(PROGRAMS, self.user, ignore=shutil.ignore_patterns("__pycache__"))
        self.elsewhere.mkdir()
        self.stranger.mkdir()
        shutil.move(self.user / "stranger.py", self.stranger)
        self.timeout = timeout
        self.torchscript = torchscript
        self.python = [sys.executable]

    # How a step runs something.

    def run(
        self,
        command: Sequence[object],
        cwd: Path | None = None,
        status: int = 0,
    ) -> str:
        """What a process prints; raises where it ends with another status, or not in time."""
        words = [str(word) for word in command]
        shown = " ".join(Path(word).name if os.sep in word else word for word in words)
        try:
            done = subprocess.run(
                words,
                cwd=cwd or self.user,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=self.timeout,
            )
        except subprocess.TimeoutExpired as error:
            said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout
            raise StepFailed(f"{shown}: no end after {self.timeout:g} s\n{said or ''}") from None
        if done.returncode != status:
            wanted = "" if status == 0 else f" instead of {status}"
            raise StepFailed(f"{shown}: exit status {done.returncode}{wanted}\n{done.stdout}")
        return done.stdout

    def program(self, name: str, *arguments: object) -> str:
        """The last line that a program of the user's prints."""
        return last_line(self.run([*self.python, name, *arguments]))

    def remotemod(self, *words: object, status: int = 0) -> str:
        """What the installed command prints."""
        command = Path(sys.executable).with_name("remotemod")
        if not command.exists():
            raise StepFailed(f"there is no command {command}: was remotemod installed?")
        return self.run([command, *words], self.elsewhere, status)

    # The steps, in the order in which they run.

    def installed(self) -> str:
        """The package is an installed one, and says the version that its metadata says."""
        code = "import remotemod; print(remotemod.__version__, remotemod.__file__)"
        version, file = self.run([*self.python, "-c", code]).split(None, 1)
        known = metadata.version("remotemod")
        expect(version == known, f"remotemod is {version}, its metadata says {known}")
        expect("py.typed" in os.listdir(Path(file).parent), "py.typed is missing")
        return str(Path(file).parent)

    def imports(self) -> str:
        """remotemod and torch in either order, and every module of the package."""
        self.program("orders.py", "remotemod", "torch")
        self.program("orders.py", "torch", "remotemod")
        return self.program("modules.py")

    def command(self) -> str:
        """The command and ``python -m`` answer."""
        expect("export" in self.remotemod("--help"), "remotemod --help does not name export")
        by_module = self.run([*self.python, "-m", "remotemod", "--version"])
        expect(by_module == self.remotemod("--version"), f"two versions: {by_module}")
        return by_module.strip()

    def readme(self) -> str:
        """The first Python block of the package's own description."""
        description = metadata.metadata("remotemod").json["description"]
        blocks = re.findall(r"```python\n(.*?)```", str(description), re.DOTALL)
        expect(bool(blocks), "the package's description holds no Python")
        (self.user / "readme.py").write_text(blocks[0])
        said = self.run([*self.python, "readme.py"])
        expect("torch.Size([1, 8, 32])" in said and "on='ps1'" in said, said)
        return last_line(said)[:60]

    def generator(self) -> str:
        """``gen``, ``gen --check`` and ``show`` from another folder; the stub is then called."""
        target, stubs = self.user / "user_model.py", self.user / "stubs"
        where = (os.path.relpath(target, self.elsewhere), "-o", stubs)
        expect("1 written" in self.remotemod("gen", *where), "gen wrote no stub")
        expect("1 unchanged" in self.remotemod("gen", *where), "gen wrote the same stub again")
        self.remotemod("gen", *where, "--check")
        shown = json.loads(self.remotemod("show", where[0], "--json"))
        expect("Table" in json.dumps(shown), f"show --json: {shown}")
        expect("scale" in self.remotemod("show", where[0]), "show names no argument")
        text = target.read_text()
        target.write_text(text.replace("scale: float = 1.0", "scale: float = 2.0"))
        drift = self.remotemod("gen", *where, "--check", status=1)
        target.write_text(text)
        expect("+" in drift and "remotemod gen" in drift, f"gen --check names no remedy: {drift}")
        return self.program("pregenerated.py")

    def calls(self) -> str:
        """Calls, futures, errors and functions on the backends of this machine."""
        return self.program("calls.py")

    def torch_rpc(self) -> str:
        """The same on torch's RPC."""
        probe = "import torch.distributed as d; print(d.is_available() and d.rpc.is_available())"
        try:
            there = last_line(self.run([*self.python, "-c", probe])) == "True"
        except StepFailed:
            there = False
        if not there:
            raise Skipped("this torch has no torch.distributed.rpc")
        return self.program("calls.py", "torch_rpc")

    def training(self) -> str:
        """Training steps, equal to local ones to the last bit."""
        return self.program("training.py")

    def compiled(self) -> str:
        """``torch.compile`` of a model with a remote part."""
        probe = "import torch; print(torch.compile(lambda x: x + 1, backend='eager')(1))"
        try:
            self.run([*self.python, "-c", probe])
        except StepFailed as error:
            raise Skipped(f"this torch does not compile here: {last_line(str(error))}") from None
        return self.program("compiled.py")

    def scripted(self) -> str:
        """A scripted call; without TorchScript a clear refusal."""
        return self.program("scripted.py" if self.scripts() else "refused.py")

    def archive(self) -> str:
        """``remotemod export`` from another folder; ``rm.load`` in a process without the user's code."""
        factory = self.user / "scripted_model.py"
        export = ("export", f"{factory}:make", "-o", "model.pt", "--workers", "ps0")
        if not self.scripts():
            said = self.remotemod(*export, status=1)
            expect("TorchScript" in said and "Traceback" not in said, f"export says: {said}")
            return last_line(said)
        expect("1 remote part" in self.remotemod(*export), "export names no remote part")
        return self.program("archive.py", self.stranger / "stranger.py")

    def scripts(self) -> bool:
        """Whether torch can script; found out once."""
        if self.torchscript is None:
            probe = (
                "import torch\ndef f(x: torch.Tensor):\n    return x + 1\n"
                "print(torch.jit.script(f)(torch.ones(1)).item())"
            )
            (self.elsewhere / "probe.py").write_text(probe)
            try:
                said = self.run([*self.python, "probe.py"], self.elsewhere)
                self.torchscript = last_line(said) == "2.0"
            except StepFailed:
                self.torchscript = False
        return self.torchscript

    def types(self, checker: str, python: str) -> str:
        """A type checker accepts a typed use, and reports each mistake, through ``py.typed``."""
        if not (self.user / "stubs").exists():
            self.generator()
        self.run([python, *CHECKERS[checker], "typed.py"])
        said = self.run([python, *CHECKERS[checker], "wrong.py"], status=1)
        lines = (self.user / "wrong.py").read_text().splitlines()
        for number, line in enumerate(lines, 1):
            found = re.search(rf"wrong\.py:{number}(:\d+)?\b.*error", said) is not None
            expect(found == ("# WRONG" in line), f"{checker} and line {number}, {line!r}:\n{said}")
        return f"{sum('# WRONG' in line for line in lines)} mistakes reported"


def expect(condition: bool, otherwise: str) -> None:
    """Fail the step where a condition does not hold."""
    if not condition:
        raise StepFailed(otherwise)


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()
