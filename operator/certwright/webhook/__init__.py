"""The optional admission webhook, a process of its own: ``certwright webhook``.

For API servers without admission policies (``deploy/options/webhook.yaml``). ``handlers`` is the table of what Kopf calls,
``server`` takes reviews over TLS, ``authority`` keeps its certificates, ``runtime`` puts them together.
"""
