"""certwright turns Certificate objects into TLS Secrets and keeps them valid."""

__version__ = "0.1.0"
