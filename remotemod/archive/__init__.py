"""Models with remote submodules in files, and in messages to workers.

An archive holds a manifest: per interface the schemas that its stub declares. The process that loads it defines the operators
from these and never runs the stub's text, so loading runs no Python of the file's.
Named tuples whose module cannot be imported have placeholders (``wire/placeholders.py``): the codecs send them by the real
class's name and build them where the real one is missing.

The saved model has other handles in the place of its own: they call by operators and hold no reference. A plain ``torch.jit.load`` finds remote submodules too, because ``remotemod/torch_hooks.py`` wraps it.
"""
