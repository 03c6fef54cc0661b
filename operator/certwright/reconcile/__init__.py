"""The life of a certificate, one verb a module.

``certificate`` decides, ``view`` gathers what it decides on. ``inprocess`` issues at once where nobody has to be
waited for; ``handover`` issues with somebody else's help, keeping the key in ``nextkey``. ``requests`` makes
CertificateRequests, ``signing`` approves and signs them, ``requeststatus`` writes what came of it, ``target`` writes
the Secret, ``status`` the Certificate's status, ``recording`` that it was issued; ``renewal`` says when it is due.
``issuers`` keeps the Ready condition of issuers.
"""
