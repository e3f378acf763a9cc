"""What a third party implements to bring a backend of its own."""

from remotemod.future import Future
from remotemod.owner.owner import Owner, Peer
from remotemod.requests import Request
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.engine import Backend, Capabilities, Line

__all__ = ["Backend", "Capabilities", "Cluster", "Future", "Line", "Owner", "Peer", "Request"]
