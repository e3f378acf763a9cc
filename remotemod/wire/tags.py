"""The numbers that head every packed node; both ends read them, so they only ever grow."""

from __future__ import annotations

from typing import Final

LIST: Final = 0
TUPLE: Final = 1
MAPPING: Final = 2
TENSOR: Final = 3
BIG_INT: Final = 4
COMPLEX: Final = 5
SURROGATE_TEXT: Final = 6
BYTEARRAY: Final = 7
SET: Final = 8
FROZENSET: Final = 9
SLICE: Final = 10
RANGE: Final = 11
ELLIPSIS: Final = 12
ORDERED_DICT: Final = 13
DEFAULT_DICT: Final = 14
SIZE: Final = 15
TORCH_NAME: Final = 16
DEVICE: Final = 17
ARRAY_SCALAR: Final = 18
ENUM_MEMBER: Final = 19
FLAG: Final = 20
NAMED_TUPLE: Final = 21
STRUCT_SEQUENCE: Final = 22
DATACLASS: Final = 23
CODE: Final = 24
PARTIAL: Final = 25
MODULE: Final = 26
SCRIPT: Final = 27
STORAGE: Final = 28
OBJECT: Final = 29
EXTENSION: Final = 30
