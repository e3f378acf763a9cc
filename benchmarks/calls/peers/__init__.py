"""The other libraries: how each starts workers, and how modules are called on them."""
