"""Measure remote modules beside the other ways of running code in another process, all in one run."""
