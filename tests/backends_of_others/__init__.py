"""Backends as other people write them: distributions of their own that know remotemod's public names alone."""
