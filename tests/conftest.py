"""What all tests share."""

import asyncio

# pytest-asyncio asks for the current loop before it sets its own, and Python makes one for that which nobody closes;
# warnings are errors, so some later test would fail. After this call there is nothing to make.
asyncio.set_event_loop(None)
