"""``python -m remotemod`` is the ``remotemod`` command."""

from remotemod.cli import main

main()
