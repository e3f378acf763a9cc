"""What the fork server imports once, so that no worker has to."""

import remotemod.abi
import remotemod.backends.shm.worker
import remotemod.interface.live.read  # noqa: F401
