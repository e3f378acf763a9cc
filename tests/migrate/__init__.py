"""Tests of the migration from torch's RemoteModule."""
