"""Render a stub's text; the only place that knows jinja."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from remotemod.codegen.plan import StubPlan, plan_stub
from remotemod.interface.model import Interface
from remotemod.process import cached
from remotemod.stub.declaration import Form

if TYPE_CHECKING:
    import jinja2

__all__ = ["render", "render_plan", "render_template"]

_OPEN_QUOTE = re.compile(r'(?<!\\)(\\\\)*"$')
"""A quote at the end that no backslash escapes: it would end the docstring too early."""


def render(
    interface: Interface,
    *,
    form: Form | None = None,
    device_moves: bool = True,
    source: str | None = None,
) -> str:
    """The text of the stub of ``interface``.

    Args:
        interface: the interface (``read_interface`` makes one).
        form: ``"eager"`` or ``"scripted"``; by default scripted where TorchScript has checked the interface
            (``@torch.jit.interface`` and ScriptModules), eager for everything else.
        device_moves: whether the owner's functions move tensors to the module's device and back.
        source: the ``TARGET`` that the header names; by default ``module:qualname``.

    Raises:
        InterfaceError: the form cannot express the interface.
    """
    return render_plan(plan_stub(interface, form=form, device_moves=device_moves, source=source))


def render_plan(plan: StubPlan) -> str:
    """The text of a stub that has been worked out."""
    return render_template(f"{plan.form}.py.jinja", stub=plan)


def render_template(template: str, **values: object) -> str:
    """The text of a template with these values."""
    return _environment().get_template(template).render(values).rstrip("\n") + "\n"


@cached()
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("remotemod.templates", "."),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # this writes Python, not HTML
    )
    environment.filters["docstring"] = _docstring
    return environment


def _docstring(text: str, indent: int) -> str:
    """``text`` as a docstring literal, laid out as the formatters leave it."""
    pad = " " * indent
    body = inspect.cleandoc(text).replace("\\", "\\\\").replace('"""', '\\"\\"\\"').strip()
    lines = [_printable(line.rstrip()) for line in body.split("\n")]
    if lines[0].startswith('"'):
        lines[0] = " " + lines[0]
    if len(lines) == 1:
        end = " " if _OPEN_QUOTE.search(lines[0]) else ""
        return f'{pad}"""{lines[0]}{end}"""'
    rest = [pad + line if line else "" for line in lines[1:]]
    return "\n".join([f'{pad}"""{lines[0]}', *rest, f'{pad}"""'])


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
