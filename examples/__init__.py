"""Examples that run as they are: ``python -m examples.digits``, ``python -m examples.quickstart``."""
