"""What all tests share."""

import asyncio
import sys
from pathlib import Path

# Helpers beside the tests (builders.py) are imported by name; test folders hold no __init__.py.
sys.path.insert(0, str(Path(__file__).parent / "operator"))

# pytest-asyncio asks for the current loop before it sets its own, and Python makes one for that which nobody closes;
# warnings are errors, so some later test would fail. After this call there is nothing to make.
asyncio.set_event_loop(None)
