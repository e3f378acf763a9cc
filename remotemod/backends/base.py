"""What a third party implements to bring a backend of its own."""

from remotemod.runtime.backend import Backend, Capabilities, Line
from remotemod.runtime.cluster import Cluster
from remotemod.runtime.future import Future
from remotemod.runtime.owner import Owner, Peer
from remotemod.runtime.requests import Request

__all__ = ["Backend", "Capabilities", "Cluster", "Future", "Line", "Owner", "Peer", "Request"]
