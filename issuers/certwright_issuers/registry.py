"""Which key under ``spec`` of an issuer object is served by which issuer: one row each."""
