"""What runs a call: handles, futures and references here, modules on the owner."""
