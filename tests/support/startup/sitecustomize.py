"""What each process of the tests does first: see ``PYTHONPATH`` in ``tests/conftest.py``."""

import gc

# Imports make a lot and free hardly anything: by default, a sixth of their time is a search for garbage.
gc.set_threshold(20_000, 20, 20)
