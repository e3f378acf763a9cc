"""The public names for authors of backends; see docs/backends.md."""

from remotemod.backends.message_engine import MessageEngine, Transport
from remotemod.backends.serialization import make_codec
from remotemod.backends.worker_server import WorkerServer
from remotemod.future import Future
from remotemod.owner.session import Session
from remotemod.requests import Reply, Request
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.engine import Capabilities, Engine, PreparedCall
from remotemod.rpc.messages import (
    Message,
    decode_reply,
    decode_request,
    encode_failure,
    encode_reply,
    encode_request,
)

__all__ = [
    "Capabilities",
    "Cluster",
    "Engine",
    "Future",
    "Message",
    "MessageEngine",
    "PreparedCall",
    "Reply",
    "Request",
    "Session",
    "Transport",
    "WorkerServer",
    "decode_reply",
    "decode_request",
    "encode_failure",
    "encode_reply",
    "encode_request",
    "make_codec",
]
