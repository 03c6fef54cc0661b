"""Certificates from ACME servers: a request becomes an Order, the Order's names become Challenges.

Reading order: ``requests`` (CertificateRequest to Order and back), ``orders`` (one Order, from newOrder to the chain),
``wanted`` (which Challenges an Order needs), ``challenges`` (one Challenge, from presented to valid), ``trouble`` (what
an error means for either), ``memory`` (what is known between two looks and may be forgotten at any time).
"""
