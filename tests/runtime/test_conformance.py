"""Every backend of ours passes the contract that third parties are given."""

from remotemod.testing import BackendConformance


class TestInproc(BackendConformance):
    """Threads of this process."""

    backend = "inproc"


class TestShm(BackendConformance):
    """Processes on this machine."""

    backend = "shm"
