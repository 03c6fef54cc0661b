"""Names of the API: groups, kinds, annotations, labels."""

from __future__ import annotations

GROUP = "cert-manager.io"
ACME_GROUP = "acme.cert-manager.io"
VERSION = "v1"
CERTIFICATE_API_VERSION = f"{GROUP}/{VERSION}"
ACME_API_VERSION = f"{ACME_GROUP}/{VERSION}"

#: What an empty kind or group of an issuerRef means; applied at run time, never stored.
DEFAULT_ISSUER_KIND = "Issuer"
DEFAULT_ISSUER_GROUP = GROUP

ANNOTATION_CERTIFICATE_NAME = f"{GROUP}/certificate-name"
ANNOTATION_CERTIFICATE_REVISION = f"{GROUP}/certificate-revision"
ANNOTATION_PRIVATE_KEY_SECRET_NAME = f"{GROUP}/private-key-secret-name"
ANNOTATION_ISSUER_NAME = f"{GROUP}/issuer-name"
ANNOTATION_ISSUER_KIND = f"{GROUP}/issuer-kind"
ANNOTATION_ISSUER_GROUP = f"{GROUP}/issuer-group"
ANNOTATION_TEMPORARY_CERTIFICATE = f"{GROUP}/issue-temporary-certificate"
ANNOTATION_ALLOW_DIRECT_INJECTION = f"{GROUP}/allow-direct-injection"

#: On every Secret that holds what was issued, or a key for it.
LABEL_FILTERED_CACHE = f"controller.{GROUP}/fao"
#: On the temporary Secret with the key of an issuance under way.
LABEL_NEXT_PRIVATE_KEY = f"{GROUP}/next-private-key"

#: cert-manager's own name, so that what it applied earlier can be taken away again.
SECRET_FIELD_MANAGER = "cert-manager-certificates-issuing"
