"""Run every benchmark, one after another, each in a process of its own."""

import subprocess
import sys

for name in ("calls", "training", "torch_rpc", "generator"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
