"""What all tests share."""

import asyncio

from hypothesis import HealthCheck, settings

# pytest-asyncio asks for the current loop before it sets its own, and Python makes one for that which nobody closes;
# warnings are errors, so some later test would fail. After this call there is nothing to make.
asyncio.set_event_loop(None)

# Whichever tests run; a busy machine is no finding. The fast tests have ten seconds in all.
settings.register_profile("certwright", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certwright")
