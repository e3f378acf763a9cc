"""The generator: it turns an interface into the text of a stub, and needs no torch.

One base template of named blocks; the scripted stub extends it with what TorchScript runs. Everything that could be a
decision (names, annotations, line breaks, moves, schemas) is worked out in ``codegen/plan.py`` and beside it. A stub has each
thing once: a typed method and its asynchronous form, the function that runs it on the worker, the declaration.

* **Names never collide.** Every generated name, imports included, is chosen fresh against all parameter and
  method names (``codegen/imports.py``). A parameter may be called ``torch``, ``self`` or ``module_rref``. On the owner's
  side the generated parameters in front are positional-only, so no keyword can meet them.
* **Annotations** that name user classes are quoted and imported for type checkers alone, so an eager stub
  never imports user code. A scripted stub needs the real classes (TorchScript reads them). Classes that no
  import can reach (in functions, in ``__main__``) are *injected* by the process that loads the text; they are
  sent to the owner along with it.
* **Defaults** that cannot be written become a sentinel: an argument that the caller omits is omitted from
  the call, and the owner's own default counts.
* **Device moves** stand where the module is called. Where the type shows where tensors are, the move is spelt out
  (``[item.to(device) for item in xs]``, ``x._replace(a=x.a.to(device))``); where it does not, one helper walks the
  value. Results go back to the CPU unless the backend carries device tensors. Moves are blocking: from
  pageable memory ``non_blocking`` gains nothing, and pinned memory might be written again too early.
* **Operators.** A scripted stub declares the schema of each method with the names of the user's classes in it
  (``stub/schema.py`` reads them). The dispatcher's schemas, the conversions of named tuples, the interfaces in archives and
  torch_rpc's own text all come from these.
"""
