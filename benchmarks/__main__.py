"""Runs every benchmark, one after another."""

from benchmarks import calls, generator

calls.main([])
generator.main([])
