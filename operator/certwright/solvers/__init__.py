"""How challenges of an ACME CA are met: one module per way, behind ``contract``."""
