"""Runs every benchmark, one after another."""

from benchmarks import calls

calls.main()
