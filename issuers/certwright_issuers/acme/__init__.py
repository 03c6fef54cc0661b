"""An ACME client (RFC 8555) that stops and goes on anywhere. It knows nothing of Kubernetes.

In reading order:

* :mod:`.reply`: an exchange as data; :mod:`.problem`: the CA's words, and the errors they become.
* One module per object, without policy: :mod:`.directory`, :mod:`.account`, :mod:`.order`, :mod:`.authorization`,
  :mod:`.challenge`, :mod:`.chain`, :mod:`.ari`. Each says which request to send and what an answer means; none sends.
* :mod:`.lifecycle`: what to do next with an order, as a table.
* :mod:`.keys`, :mod:`.nonces`, :mod:`.transport`, :mod:`.gate`: signatures, nonces, sockets, rate limits met.
* :mod:`.client`: every step as one method. An operator calls these, and stores what they return.
* :mod:`.issue`: all steps in order, for programs that can wait. ``python -m certwright_issuers.acme`` is one.
* :mod:`.retry`: when to try again after a failure.

This package imports nothing by itself: a process without an ACME issuer doesn't pay for ``acme`` and ``josepy``.
"""
