"""Memory that two processes see: the bytes of tensors, and memfds that hold them."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["ALIGN", "HAVE_MEMFD", "bytes_of", "map_memory", "round_up", "share"]

ALIGN = 64
"""Bytes: every frame begins at a multiple, which suits any dtype and any vector unit."""

HAVE_MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "CMSG_LEN")
"""Elsewhere (macOS, Windows) large frames travel inline: slower and as correct."""


def round_up(size: int) -> int:
    """``size`` up to the next multiple of ``ALIGN``."""
    return size + (-size % ALIGN)


def bytes_of(frame: Tensor) -> memoryview:
    """The memory of a flat uint8 tensor; the caller keeps the tensor alive."""
    size = frame.numel()
    return memoryview((ctypes.c_ubyte * size).from_address(frame.data_ptr())).cast("B")


def share(size: int, frames: Sequence[tuple[int, Tensor]]) -> int:
    """A memfd that holds the frames at their offsets."""
    memfd = os.memfd_create("remotemod", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memfd, size)
        memory = torch.frombuffer(mmap.mmap(memfd, size), dtype=torch.uint8)
        for offset, frame in frames:
            memory[offset : offset + frame.numel()].copy_(frame)
    except BaseException:
        os.close(memfd)
        raise
    return memfd


def map_memory(fd: int) -> mmap.mmap:
    """Maps a received memfd whole and closes the descriptor; the mapping lives as long as its tensors."""
    try:
        return mmap.mmap(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)
