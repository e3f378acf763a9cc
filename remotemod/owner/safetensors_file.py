"""Write and read safetensors files piece by piece, so that a tensor needs no second copy in memory.

The library's own writer needs every tensor whole and contiguous on the CPU, and older versions copy; the format is
simple: eight bytes with the length of a JSON header, the header, and the tensors' bytes without gaps
(https://github.com/huggingface/safetensors#format). Files that are read are
checked by the library.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, BinaryIO

import torch
from torch import Tensor

from remotemod.files import replacing
from remotemod.wire.memory import flat_bytes

__all__ = ["CODES", "Contents", "opened", "written"]

_PIECE = 8 * 2**20

CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The format's names of the dtypes that it has."""


def pieces(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Slices that cover a tensor in the order of its items, each of at most 8 MiB."""
    if prod(shape) * itemsize <= _PIECE:
        yield tuple(slice(0, size) for size in shape)
        return
    row = prod(shape[1:]) * itemsize
    step = max(1, _PIECE // row)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        if row > _PIECE:
            yield from ((rows, *inner) for inner in pieces(shape[1:], itemsize))
        else:
            yield (rows, *(slice(0, size) for size in shape[1:]))


def written(path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file beside ``path`` and, once it is whole and on the disk, put it there.

    Args:
        path: the file; a link is followed.
        tensors: strided ones of the format's dtypes.
        metadata: text for the header.

    Raises:
        OSError: it cannot be written; an older file stays as it was.
    """
    with replacing(path) as content, open(content, "wb", buffering=0) as file:
        # Larger items first, as in the library: so every tensor is aligned.
        names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
        _write(file, memoryview(_header([(n, tensors[n]) for n in names], metadata)))
        for name in names:
            _write_tensor(file, tensors[name])


def _header(tensors: list[tuple[str, Tensor]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors:
        start, end = end, end + tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_tensor(file: io.FileIO, tensor: Tensor) -> None:
    if not tensor.numel():
        return
    for piece in pieces(tuple(tensor.shape), tensor.itemsize):
        data = flat_bytes(tensor[piece])
        _write(file, memoryview((ctypes.c_char * data.numel()).from_address(data.data_ptr())))


def _write(file: io.FileIO, data: memoryview) -> None:
    data = data.cast("B")
    while data:
        data = data[file.write(data) :]


class Contents:
    """A file that is open for reading.

    Attributes:
        entries: of each tensor ``dtype``, ``shape`` and ``data_offsets``, by name.
        metadata: the header's text.
    """

    def __init__(self, file: BinaryIO) -> None:
        length = int.from_bytes(file.read(8), "little")
        self.entries: dict[str, dict[str, Any]] = json.loads(file.read(length))
        self.metadata: dict[str, str] = self.entries.pop("__metadata__", {})
        self._file = file
        self._start = 8 + length

    def read(self, name: str, dtype: torch.dtype) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
        """A tensor piece by piece: the slices of each, and a tensor that the next one overwrites.

        Args:
            name: the tensor's.
            dtype: the torch dtype of its code.
        """
        shape = tuple(self.entries[name]["shape"])
        if not prod(shape):
            return
        buffer = bytearray(min(prod(shape) * dtype.itemsize, _PIECE))
        self._file.seek(self._start + self.entries[name]["data_offsets"][0])
        for piece in pieces(shape, dtype.itemsize):
            sizes = [rows.stop - rows.start for rows in piece]
            size = prod(sizes) * dtype.itemsize
            if self._file.readinto(memoryview(buffer)[:size]) != size:  # type: ignore[attr-defined]
                raise ValueError(f"{self._file.name!r} was cut short while it was being read")
            yield piece, torch.frombuffer(buffer, dtype=dtype, count=prod(sizes)).view(sizes)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Contents]:
    """Open a file for reading.

    Raises:
        ValueError: it is no safetensors file, or a part of it is missing.
        OSError: it cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    with open(path, "rb") as file:
        try:
            # Checks all that can be wrong with a header. Its own slices would leave the whole file mapped.
            with safe_open(path, framework="pt"):
                yield Contents(file)
        except SafetensorError as error:
            raise ValueError(
                f"{path!r} is no safetensors file, or not a whole one ({error}); it was not read"
            ) from None
