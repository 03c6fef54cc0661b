"""Settings for the issuer tests."""

from __future__ import annotations

from hypothesis import settings

#: The fast part of these tests has three seconds in all.
settings.register_profile("issuers", max_examples=25, deadline=None)
settings.load_profile("issuers")
