"""A plain type is one row of a table: reading, spelling, schemas and TorchScript follow it."""

from __future__ import annotations

import builtins

import pytest
import torch
import torch.types

from remotemod.codegen.annotations import spell
from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import flat
from remotemod.interface.annotations import apply
from remotemod.interface.types import PLAIN_TYPES, PlainType, Symbol
from remotemod.stub.schema import WORDS, dispatcher_type

NAMES = [plain.name for plain in PLAIN_TYPES]


@pytest.fixture(params=PLAIN_TYPES, ids=NAMES)
def plain(request: pytest.FixtureRequest) -> PlainType:
    return request.param


def test_names_are_distinct() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_an_annotation_is_read_as_its_row(plain: PlainType) -> None:
    """But for Number, which is TorchScript's alone."""
    assert (apply(plain.symbol) is plain) is (plain.name != "Number")


def test_a_stub_spells_what_it_stands_for(plain: PlainType) -> None:
    """The spelling is there once the imports are, and is the object that the symbol names."""
    imports = Imports((), ())
    text = flat(spell(plain, imports, evaluated=True))
    lines = [line for section in imports.runtime_lines() for line in section]
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    assert eval(text, names) is named(plain.symbol)


def named(symbol: Symbol) -> object:
    if symbol.qualname == "None":
        return None
    places = {"": builtins, "torch": torch, "torch.types": torch.types}
    return getattr(places[symbol.module], symbol.qualname)


def test_the_dispatcher_takes_its_word(plain: PlainType) -> None:
    """And a schema's word is read back as the row."""
    assert dispatcher_type(plain) == plain.schema
    assert WORDS[plain.schema] is plain
    schema = torch._C.parse_schema(f"f({plain.schema} x) -> ()")
    if plain.script:
        assert schema.arguments[0].type.kind() == plain.script
