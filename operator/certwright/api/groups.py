"""Names of the API: groups, kinds, annotations, labels."""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "cert-manager.io"
ACME_GROUP = f"acme.{GROUP}"
VENAFI_GROUP = f"venafi.{GROUP}"
EXPERIMENTAL_GROUP = f"experimental.{GROUP}"
VERSION = "v1"
CERTIFICATE_API_VERSION = f"{GROUP}/{VERSION}"
ACME_API_VERSION = f"{ACME_GROUP}/{VERSION}"


@dataclass(frozen=True)
class Kind:
    """How a kind of the API is addressed, and under which words kubectl finds it."""

    name: str
    plural: str
    group: str = GROUP
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ("cert-manager",)

    @property
    def singular(self) -> str:
        """The word for one."""
        return self.name.lower()

    @property
    def api_version(self) -> str:
        """Group and version, as objects of the kind carry it."""
        return f"{self.group}/{VERSION}"


_ACME_CATEGORIES = ("cert-manager", "cert-manager-acme")

CERTIFICATE = Kind("Certificate", "certificates", short_names=("cert", "certs"))
CERTIFICATE_REQUEST = Kind("CertificateRequest", "certificaterequests", short_names=("cr", "crs"))
ISSUER = Kind("Issuer", "issuers", short_names=("iss",))
CLUSTER_ISSUER = Kind("ClusterIssuer", "clusterissuers", namespaced=False, short_names=("ciss",))
ORDER = Kind("Order", "orders", group=ACME_GROUP, categories=_ACME_CATEGORIES)
CHALLENGE = Kind("Challenge", "challenges", group=ACME_GROUP, categories=_ACME_CATEGORIES)

#: All kinds of the API, by name.
KINDS = {kind.name: kind for kind in (CERTIFICATE, CERTIFICATE_REQUEST, ISSUER, CLUSTER_ISSUER, ORDER, CHALLENGE)}

#: What an empty kind or group of an issuerRef means; applied at run time, never stored.
DEFAULT_ISSUER_KIND = ISSUER.name
DEFAULT_ISSUER_GROUP = GROUP

# On CertificateRequests and Secrets.
ANNOTATION_CERTIFICATE_NAME = f"{GROUP}/certificate-name"
ANNOTATION_CERTIFICATE_REVISION = f"{GROUP}/certificate-revision"
ANNOTATION_PRIVATE_KEY_SECRET_NAME = f"{GROUP}/private-key-secret-name"

# On Secrets: who issued what they hold, and what for. The first three repeat the issuerRef as it was written.
ANNOTATION_ISSUER_NAME = f"{GROUP}/issuer-name"
ANNOTATION_ISSUER_KIND = f"{GROUP}/issuer-kind"
ANNOTATION_ISSUER_GROUP = f"{GROUP}/issuer-group"
ANNOTATION_COMMON_NAME = f"{GROUP}/common-name"
ANNOTATION_ALT_NAMES = f"{GROUP}/alt-names"
ANNOTATION_IP_SANS = f"{GROUP}/ip-sans"
ANNOTATION_URI_SANS = f"{GROUP}/uri-sans"
ANNOTATION_EMAIL_SANS = f"{GROUP}/email-sans"
#: Followed by organizations, organizationalunits, countries, provinces, localities, postalcodes, streetaddresses or
#: serialnumber.
ANNOTATION_SUBJECT_PREFIX = f"{GROUP}/subject-"
ANNOTATION_ALLOW_DIRECT_INJECTION = f"{GROUP}/allow-direct-injection"

# On Certificates.
ANNOTATION_TEMPORARY_CERTIFICATE = f"{GROUP}/issue-temporary-certificate"

# On Ingresses, Gateways and ListenerSets: what makes a Certificate for them, and what goes into it.
ANNOTATION_INGRESS_ISSUER = f"{GROUP}/issuer"
ANNOTATION_INGRESS_CLUSTER_ISSUER = f"{GROUP}/cluster-issuer"
ANNOTATION_TLS_ACME = "kubernetes.io/tls-acme"
ANNOTATION_DURATION = f"{GROUP}/duration"
ANNOTATION_RENEW_BEFORE = f"{GROUP}/renew-before"
ANNOTATION_RENEW_BEFORE_PERCENTAGE = f"{GROUP}/renew-before-percentage"
ANNOTATION_USAGES = f"{GROUP}/usages"
ANNOTATION_REVISION_HISTORY_LIMIT = f"{GROUP}/revision-history-limit"
ANNOTATION_PRIVATE_KEY_ALGORITHM = f"{GROUP}/private-key-algorithm"
ANNOTATION_PRIVATE_KEY_ENCODING = f"{GROUP}/private-key-encoding"
ANNOTATION_PRIVATE_KEY_SIZE = f"{GROUP}/private-key-size"
ANNOTATION_PRIVATE_KEY_ROTATION_POLICY = f"{GROUP}/private-key-rotation-policy"
ANNOTATION_SECRET_TEMPLATE = f"{GROUP}/secret-template"
ANNOTATION_IGNORE_TLS_LISTENERS = f"{GROUP}/ignore-tls-listeners"

# ACME. The first three on Ingresses, the others on Certificates, from where they are copied to the Order.
ANNOTATION_HTTP01_EDIT_IN_PLACE = f"{ACME_GROUP}/http01-edit-in-place"
ANNOTATION_HTTP01_INGRESS_CLASS = f"{ACME_GROUP}/http01-ingress-class"
ANNOTATION_HTTP01_INGRESS_CLASS_NAME = f"{ACME_GROUP}/http01-ingress-ingressclassname"
ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME = f"{ACME_GROUP}/http01-override-ingress-name"
ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS = f"{ACME_GROUP}/http01-override-ingress-class"
ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS_NAME = f"{ACME_GROUP}/http01-override-ingress-ingressclassname"
ANNOTATION_HTTP01_PARENT_REF_KIND = f"{ACME_GROUP}/http01-parentrefkind"
ANNOTATION_HTTP01_PARENT_REF_NAME = f"{ACME_GROUP}/http01-parentrefname"
ANNOTATION_HTTP01_PARENT_REF_NAMESPACE = f"{ACME_GROUP}/http01-parentrefnamespace"
ANNOTATION_HTTP01_PARENT_REF_FALLBACK = f"{ACME_GROUP}/http01-parentreffallback"

# On webhook configurations, APIServices and CRDs: where their caBundle comes from.
ANNOTATION_INJECT_CA_FROM = f"{GROUP}/inject-ca-from"
ANNOTATION_INJECT_CA_FROM_SECRET = f"{GROUP}/inject-ca-from-secret"
ANNOTATION_INJECT_APISERVER_CA = f"{GROUP}/inject-apiserver-ca"

# CyberArk Certificate Manager (formerly Venafi).
ANNOTATION_VENAFI_CUSTOM_FIELDS = f"{VENAFI_GROUP}/custom-fields"
ANNOTATION_VENAFI_PICKUP_ID = f"{VENAFI_GROUP}/pickup-id"

# On CertificateSigningRequests of certificates.k8s.io.
ANNOTATION_CSR_DURATION = f"{EXPERIMENTAL_GROUP}/request-duration"
ANNOTATION_CSR_IS_CA = f"{EXPERIMENTAL_GROUP}/request-is-ca"
ANNOTATION_CSR_PRIVATE_KEY_SECRET_NAME = f"{EXPERIMENTAL_GROUP}/private-key-secret-name"

#: On Orders and Challenges: the CA, or a schedule, allows no request before this time (RFC 3339). Survives restarts.
ANNOTATION_RETRY_AT = f"{ACME_GROUP}/retry-at"

#: On every Secret that holds what was issued, or a key for it.
LABEL_FILTERED_CACHE = f"controller.{GROUP}/fao"
#: On the temporary Secret with the key of an issuance under way.
LABEL_NEXT_PRIVATE_KEY = f"{GROUP}/next-private-key"
#: On a Namespace: admission does not validate there.
LABEL_DISABLE_VALIDATION = f"{GROUP}/disable-validation"
# On what is made to meet an HTTP-01 challenge.
LABEL_HTTP_DOMAIN = f"{ACME_GROUP}/http-domain"
LABEL_HTTP_TOKEN = f"{ACME_GROUP}/http-token"
LABEL_HTTP01_SOLVER = f"{ACME_GROUP}/http01-solver"

FINALIZER_CHALLENGE = f"{ACME_GROUP}/finalizer"
#: Found on Challenges that older versions of cert-manager made.
FINALIZER_CHALLENGE_LEGACY = f"finalizer.{ACME_GROUP}"

#: cert-manager's own name, so that what it applied earlier can be taken away again.
SECRET_FIELD_MANAGER = "cert-manager-certificates-issuing"  # noqa: S105 - no secret, though its name begins with the word
