"""Models with remote submodules in files, and on their way to workers.

An archive holds a manifest: per interface the schemas that its stub declares. The process that loads it makes the operators of
that and never runs the stub's text, so loading runs no Python of the file's.
Named tuples whose module cannot be imported have placeholders (``wire/placeholders.py``): the codecs send them by the real
class's name and build them where the real one is not there.

What is saved is the model with other handles, made for the purpose, in the place of its own: they call by operators and hold no
reference. A plain ``torch.jit.load`` finds remote submodules too, because ``remotemod/torch_hooks.py`` wraps it.
"""
