"""Every private name of torch that remotemod relies on, one small function each; nothing else touches them.

``docs/compatibility.md`` has the table that ``remotemod doctor`` prints of them.
"""
