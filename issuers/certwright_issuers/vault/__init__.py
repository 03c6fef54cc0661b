"""HashiCorp Vault's PKI engine as an issuer (API contract section 3.4).

``config`` reads the specification and its Secrets, ``login`` keeps a token, ``methods`` are the ways to get one (``aws``
and ``sts`` have what AWS needs), ``client`` speaks Vault's HTTP API through hvac on top of ``transport``, ``calls`` runs
that in threads, ``signing`` is the request and its answer, ``health`` is the check, and ``issuer`` puts them together.
"""
