"""Certificates that nobody writes: made from the annotations of other objects. Pure; ``reconcile/ingress.py`` applies it."""
