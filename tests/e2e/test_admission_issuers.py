"""Issuers that kubectl apply refuses, with words that name the field and the reason; and some it must not refuse."""

import json

import pytest

from devcluster import Cluster
from tests.e2e.admission import (
    PEM_CERTIFICATE,
    REF,
    Row,
    accepted,
    acme,
    answers,
    dns01,
    issuer,
    judge,
    named,
    refused,
    solver,
    vault,
)

pytestmark = pytest.mark.e2e

SOLVERS = "spec.acme.solvers[]"
AZURE = {"subscriptionID": "s", "resourceGroupName": "g"}
PRINCIPAL = {"clientID": "c", "clientSecretSecretRef": REF, "tenantID": "t"}
AKAMAI = {
    "serviceConsumerDomain": "d",
    "accessTokenSecretRef": REF,
    "clientSecretSecretRef": REF,
    "clientTokenSecretRef": REF,
}
RFC2136 = {"nameserver": "ns.example"}
PARENT = {"name": "gateway"}

TYPES: dict[str, Row] = {
    "self-signed": accepted(issuer(selfSigned={})),
    "cluster-self-signed": accepted(issuer("ClusterIssuer", selfSigned={})),
    "no-type": refused(issuer(), "spec", "exactly one of acme, ca, selfSigned, vault and venafi"),
    "no-cluster-type": refused(issuer("ClusterIssuer"), "spec", "exactly one of acme, ca"),
    "two-types": refused(issuer(selfSigned={}, ca={"secretName": "s"}), "spec", "exactly one of acme, ca"),
    "no-issuer-spec": refused({**issuer(), "spec": None}, "spec", "Required"),
    "ca": accepted(issuer(ca={"secretName": "s", "ocspServers": ["http://o"], "crlDistributionPoints": [""]})),
    "ca-no-secret": refused(issuer(ca={}), "spec.ca.secretName", "Required"),
    "ca-empty-secret": refused(issuer(ca={"secretName": ""}), "spec.ca.secretName", "must not be empty"),
    "ca-empty-ocsp": refused(issuer(ca={"secretName": "s", "ocspServers": ["a", ""]}), "spec.ca.ocspServers", "empty"),
    "ca-empty-aia": refused(
        issuer(ca={"secretName": "s", "issuingCertificateURLs": [""]}), "spec.ca.issuingCertificateURLs", "empty"
    ),
    "venafi-none": refused(issuer(venafi={"zone": "z"}), "spec.venafi", "exactly one of tpp, cloud and ngts"),
    "venafi-no-zone": refused(
        issuer(venafi={"zone": "", "cloud": {"apiTokenSecretRef": {"name": "n"}}}), "spec.venafi.zone", "empty"
    ),
    "venafi-tpp-no-url": refused(
        issuer(venafi={"zone": "z", "tpp": {"url": "", "credentialsRef": {"name": "n"}}}),
        "spec.venafi.tpp.url",
        "empty",
    ),
    "venafi-tpp-two-bundles": refused(
        issuer(
            venafi={
                "zone": "z",
                "tpp": {
                    "url": "u",
                    "credentialsRef": {"name": "n"},
                    "caBundle": PEM_CERTIFICATE,
                    "caBundleSecretRef": REF,
                },
            }
        ),
        "spec.venafi.tpp.caBundle",
        "exclude each other",
    ),
    "venafi-ngts-no-group": refused(
        issuer(venafi={"zone": "z", "ngts": {"tsgID": "", "credentialsRef": {"name": "n"}}}), "spec.venafi.ngts.tsgID"
    ),
    "venafi-ngts-no-credentials": refused(
        issuer(venafi={"zone": "z", "ngts": {"tsgID": "t", "credentialsRef": {"name": ""}}}),
        "spec.venafi.ngts.credentialsRef.name",
        "empty",
    ),
    "venafi-cloud": accepted(issuer(venafi={"zone": "z", "cloud": {"apiTokenSecretRef": {"name": ""}}})),
}

VAULT: dict[str, Row] = {
    "vault": accepted(vault()),
    "vault-no-server": refused(vault(server=""), "spec.vault.server", "must not be empty"),
    "vault-no-path": refused(vault(path=""), "spec.vault.path", "must not be empty"),
    "vault-parent-path": refused(vault(path="pki/../sys"), "spec.vault.path", "segment '..'"),
    "vault-dots-in-a-word": accepted(vault(path="pki/a..b/sign/role")),
    "vault-empty-bundle": refused(vault(caBundle="bm90aGluZw=="), "spec.vault.caBundle", "at least one certificate"),
    "vault-two-bundles": refused(
        vault(caBundle=PEM_CERTIFICATE, caBundleSecretRef=REF), "spec.vault.caBundle", "exclude each other"
    ),
    "vault-cert-without-key": refused(vault(clientCertSecretRef=REF), "clientKeySecretRef", "together or not at all"),
    "vault-key-without-cert": refused(vault(clientKeySecretRef=REF), "clientCertSecretRef", "together or not at all"),
    "vault-mtls": accepted(vault(clientCertSecretRef=REF, clientKeySecretRef=REF)),
    "vault-no-auth": refused(vault(auth={}), "spec.vault.auth", "needs one of tokenSecretRef"),
    # More than one method passes; the operator refuses it with a condition.
    "vault-two-methods": accepted(vault(auth={"tokenSecretRef": REF, "kubernetes": {"role": "r", "secretRef": REF}})),
    "vault-kubernetes-no-role": refused(
        vault(auth={"kubernetes": {"role": "", "secretRef": REF}}), "spec.vault.auth.kubernetes.role", "empty"
    ),
    "vault-kubernetes-no-token": refused(
        vault(auth={"kubernetes": {"role": "r"}}), "spec.vault.auth.kubernetes", "exactly one of secretRef"
    ),
    "vault-kubernetes-two-tokens": refused(
        vault(auth={"kubernetes": {"role": "r", "secretRef": REF, "serviceAccountRef": {"name": "s"}}}),
        "spec.vault.auth.kubernetes",
        "exactly one of secretRef",
    ),
    "vault-kubernetes-parent-path": refused(
        vault(auth={"kubernetes": {"role": "r", "secretRef": REF, "mountPath": "/v1/auth/../x"}}),
        "spec.vault.auth.kubernetes.mountPath",
        "segment '..'",
    ),
    "vault-app-role": accepted(vault(auth={"appRole": {"path": "approle", "roleId": "r", "secretRef": REF}})),
    "vault-app-role-no-id": refused(
        vault(auth={"appRole": {"path": "approle", "roleId": "", "secretRef": REF}}), "spec.vault.auth.appRole.roleId"
    ),
    "vault-app-role-no-secret": refused(
        vault(auth={"appRole": {"path": "approle", "roleId": "r", "secretRef": {"name": ""}}}),
        "spec.vault.auth.appRole.secretRef.name",
    ),
    "vault-app-role-parent-path": refused(
        vault(auth={"appRole": {"path": "..", "roleId": "r", "secretRef": REF}}), "spec.vault.auth.appRole.path", "'..'"
    ),
    "vault-certificate": accepted(vault(auth={"clientCertificate": {}})),
    "vault-certificate-parent-path": refused(
        vault(auth={"clientCertificate": {"mountPath": "../x"}}), "spec.vault.auth.clientCertificate.mountPath", "'..'"
    ),
    "vault-aws": accepted(vault(auth={"aws": {"role": "r"}})),
    "vault-aws-no-role": refused(vault(auth={"aws": {"role": ""}}), "spec.vault.auth.aws.role"),
    "vault-aws-no-arn": refused(
        vault(auth={"aws": {"role": "r", "serviceAccountRef": {"name": "s"}}}),
        "spec.vault.auth.aws.iamRoleArn",
        "needed",
    ),
    "vault-aws-parent-path": refused(
        vault(auth={"aws": {"role": "r", "mountPath": "a/.."}}), "spec.vault.auth.aws.mountPath", "'..'"
    ),
}

ACME: dict[str, Row] = {
    "acme": accepted(acme()),
    "acme-no-server": refused(acme(server=""), "spec.acme.server", "must not be empty"),
    "acme-no-account-key": refused(acme(privateKeySecretRef=None), "spec.acme.privateKeySecretRef", "Required"),
    "acme-unnamed-account-key": refused(
        acme(privateKeySecretRef={"name": ""}), "spec.acme.privateKeySecretRef.name", "must not be empty"
    ),
    "acme-bundle-and-skip": refused(
        acme(caBundle=PEM_CERTIFICATE, skipTLSVerify=True), "spec.acme.skipTLSVerify", "exclude each other"
    ),
    "acme-bundle": accepted(acme(caBundle=PEM_CERTIFICATE, skipTLSVerify=False)),
    "acme-empty-bundle": refused(acme(caBundle="bm90aGluZw=="), "spec.acme.caBundle", "at least one certificate"),
    "acme-bad-base64": refused(acme(caBundle="%"), "spec.acme.caBundle", "byte"),
    "acme-binding-no-id": refused(
        acme(externalAccountBinding={"keyID": "", "keySecretRef": REF}),
        "spec.acme.externalAccountBinding.keyID",
        "empty",
    ),
    "acme-binding-no-secret": refused(
        acme(externalAccountBinding={"keyID": "i", "keySecretRef": {"name": "", "key": "k"}}),
        "spec.acme.externalAccountBinding.keySecretRef.name",
    ),
    "acme-binding-no-key": refused(
        acme(externalAccountBinding={"keyID": "i", "keySecretRef": {"name": "n"}}),
        "spec.acme.externalAccountBinding.keySecretRef.key",
        "must not be empty",
    ),
    "acme-binding": accepted(acme(externalAccountBinding={"keyID": "i", "keySecretRef": REF, "keyAlgorithm": "HS384"})),
    "acme-long-chain": refused(acme(preferredChain="a" * 65), "spec.acme.preferredChain", "64"),
    "acme-unknown-renewal": refused(acme(renewalInformationSource="x"), "spec.acme.renewalInformationSource", "ARI"),
    "solver-empty": refused(solver(), SOLVERS, "exactly one of http01 and dns01"),
    "solver-both": refused(
        solver(http01={"ingress": {}}, dns01={"webhook": {"groupName": "g", "solverName": "s"}}),
        SOLVERS,
        "exactly one of http01 and dns01",
    ),
    "solver-second-bad": refused(acme(solvers=[{"http01": {"ingress": {}}}, {}]), SOLVERS, "exactly one of http01"),
    "wait-negative": refused(
        solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="-1s"), f"{SOLVERS}.waitInsteadOfSelfCheck", "negative"
    ),
    "wait-no-duration": refused(
        solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="1d"), f"{SOLVERS}.waitInsteadOfSelfCheck", "30s"
    ),
    "wait": accepted(solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="1m30s")),
    "wait-0": accepted(solver(http01={"ingress": {}}, waitInsteadOfSelfCheck="0")),
    "http01-empty": refused(solver(http01={}), f"{SOLVERS}.http01", "exactly one of ingress and gatewayHTTPRoute"),
    "http01-both": refused(
        solver(http01={"ingress": {}, "gatewayHTTPRoute": {"parentRefs": [PARENT]}}), f"{SOLVERS}.http01", "exactly one"
    ),
    "ingress-two-ways": refused(
        solver(http01={"ingress": {"class": "a", "name": "b"}}), f"{SOLVERS}.http01.ingress", "only one of class"
    ),
    "ingress-one-way": accepted(solver(http01={"ingress": {"class": "", "ingressClassName": "a.b"}})),
    "ingress-bad-class": refused(
        solver(http01={"ingress": {"ingressClassName": "A_b"}}), f"{SOLVERS}.http01.ingress.ingressClassName"
    ),
    "ingress-service-type": refused(
        solver(http01={"ingress": {"serviceType": "LoadBalancer"}}), f"{SOLVERS}.http01", "ClusterIP or NodePort"
    ),
    "route-service-type": refused(
        solver(http01={"gatewayHTTPRoute": {"serviceType": "X"}}), f"{SOLVERS}.http01", "ClusterIP or NodePort"
    ),
    "route-unnamed-parent": refused(
        solver(http01={"gatewayHTTPRoute": {"parentRefs": [{"kind": "Gateway"}]}}), "parentRefs[0].name", "Required"
    ),
    "route-bad-port": refused(
        solver(http01={"gatewayHTTPRoute": {"parentRefs": [{**PARENT, "port": 70000}]}}), "parentRefs[0].port", "65535"
    ),
    "route": accepted(solver(http01={"gatewayHTTPRoute": {"parentRefs": [PARENT], "serviceType": "ClusterIP"}})),
    "pod-template": accepted(
        solver(
            http01={"ingress": {"podTemplate": {"spec": {"tolerations": [{"key": "a"}]}, "metadata": {"labels": {}}}}}
        )
    ),
    "full-selector": accepted(
        solver(http01={"ingress": {}}, selector={"dnsNames": ["a"], "dnsZones": ["b"], "matchLabels": {"c": "d"}})
    ),
}

DNS01: dict[str, Row] = {
    "dns01-empty": refused(dns01(), f"{SOLVERS}.dns01", "exactly one provider"),
    "dns01-only-strategy": refused(dns01(cnameStrategy="Follow"), f"{SOLVERS}.dns01", "exactly one provider"),
    "dns01-two": refused(
        dns01(cloudDNS={"project": "p"}, acmeDNS={"host": "h", "accountSecretRef": REF}),
        f"{SOLVERS}.dns01",
        "exactly one provider",
    ),
    "dns01-strategy": refused(
        dns01(cloudDNS={"project": "p"}, cnameStrategy="follow"), "dns01.cnameStrategy", "Unsupported"
    ),
    "nameserver-no-port": refused(
        dns01(cloudDNS={"project": "p"}, nameservers=["10.0.0.1:53", "10.0.0.1"]),
        f"{SOLVERS}.dns01.nameservers",
        "not 10.0.0.1",
    ),
    "nameserver-http": refused(
        dns01(cloudDNS={"project": "p"}, nameservers=["http://a/dns"]), f"{SOLVERS}.dns01.nameservers", "https://"
    ),
    "nameservers": accepted(
        dns01(cloudDNS={"project": "p"}, nameservers=["a.example:53", "[fd00::1]:53", "https://a/dns-query"])
    ),
    "azure-half-principal": refused(
        dns01(azureDNS={**AZURE, "clientID": "c"}), f"{SOLVERS}.dns01.azureDNS", "all of clientID"
    ),
    "azure-principal": accepted(dns01(azureDNS={**AZURE, **PRINCIPAL})),
    "azure-principal-and-identity": refused(
        dns01(azureDNS={**AZURE, **PRINCIPAL, "managedIdentity": {}}), "azureDNS.managedIdentity", "cannot be used with"
    ),
    "azure-two-ids": refused(
        dns01(azureDNS={**AZURE, "managedIdentity": {"clientID": "c", "resourceID": "r"}}),
        "azureDNS.managedIdentity",
        "only one of clientID and resourceID",
    ),
    "azure-lone-tenant": refused(
        dns01(azureDNS={**AZURE, "managedIdentity": {"tenantID": "t"}}), "managedIdentity.tenantID", "needs clientID"
    ),
    "azure-resource-tenant": refused(
        dns01(azureDNS={**AZURE, "managedIdentity": {"tenantID": "t", "resourceID": "r"}}), "managedIdentity.tenantID"
    ),
    "azure-identity": accepted(dns01(azureDNS={**AZURE, "managedIdentity": {"clientID": "c", "tenantID": "t"}})),
    "azure-ambient": accepted(dns01(azureDNS={**AZURE, "managedIdentity": {}})),
    "azure-no-group": refused(
        dns01(azureDNS={**AZURE, "resourceGroupName": ""}), f"{SOLVERS}.dns01", "azureDNS.resourceGroupName"
    ),
    "azure-no-subscription": refused(
        dns01(azureDNS={**AZURE, "subscriptionID": ""}), f"{SOLVERS}.dns01", "azureDNS.subscriptionID"
    ),
    "azure-environment": refused(
        dns01(azureDNS={**AZURE, "environment": "Moon"}), "azureDNS.environment", "AzurePublicCloud"
    ),
    "cloud-dns-no-project": refused(dns01(cloudDNS={"project": ""}), f"{SOLVERS}.dns01", "cloudDNS.project"),
    "cloudflare-none": refused(dns01(cloudflare={}), f"{SOLVERS}.dns01.cloudflare", "exactly one of apiKeySecretRef"),
    "cloudflare-both": refused(
        dns01(cloudflare={"apiKeySecretRef": REF, "apiTokenSecretRef": REF, "email": "a@b.c"}),
        "cloudflare",
        "exactly one",
    ),
    "cloudflare-no-email": refused(dns01(cloudflare={"apiKeySecretRef": REF}), "cloudflare.email", "needed"),
    "cloudflare-no-key": refused(
        dns01(cloudflare={"apiTokenSecretRef": {"name": "n"}}), f"{SOLVERS}.dns01", "cloudflare.apiTokenSecretRef"
    ),
    "cloudflare": accepted(dns01(cloudflare={"apiTokenSecretRef": REF})),
    "digitalocean-no-key": refused(
        dns01(digitalocean={"tokenSecretRef": {"name": "n"}}), f"{SOLVERS}.dns01", "digitalocean.tokenSecretRef"
    ),
    "digitalocean": accepted(dns01(digitalocean={"tokenSecretRef": REF})),
    "route53-two-ids": refused(
        dns01(route53={"accessKeyID": "a", "accessKeyIDSecretRef": REF}), f"{SOLVERS}.dns01.route53", "only one of"
    ),
    "route53-ambient": accepted(dns01(route53={})),
    "rfc2136-no-server": refused(dns01(rfc2136={"nameserver": ""}), f"{SOLVERS}.dns01", "rfc2136.nameserver"),
    "rfc2136-bare-v6": refused(dns01(rfc2136={"nameserver": "fd00::1"}), "rfc2136.nameserver", "in brackets"),
    "rfc2136-v6": accepted(dns01(rfc2136={"nameserver": "[fd00::1]"})),
    "rfc2136-port": accepted(dns01(rfc2136={"nameserver": "10.0.0.1:5353", "protocol": "TCP"})),
    "rfc2136-algorithm": refused(
        dns01(rfc2136={**RFC2136, "tsigKeyName": "n", "tsigSecretSecretRef": REF, "tsigAlgorithm": "HMACSHA3"}),
        "rfc2136.tsigAlgorithm",
        "HMACSHA256",
    ),
    "rfc2136-lower-case": accepted(
        dns01(rfc2136={**RFC2136, "tsigKeyName": "n", "tsigSecretSecretRef": REF, "tsigAlgorithm": "hmacsha256"})
    ),
    "rfc2136-key-without-secret": refused(
        dns01(rfc2136={**RFC2136, "tsigKeyName": "n"}), "rfc2136", "both tsigKeyName"
    ),
    "rfc2136-secret-without-key": refused(dns01(rfc2136={**RFC2136, "tsigSecretSecretRef": REF}), "both tsigKeyName"),
    "webhook-no-solver": refused(
        dns01(webhook={"groupName": "g", "solverName": ""}), f"{SOLVERS}.dns01", "webhook.solverName"
    ),
    "webhook": accepted(dns01(webhook={"groupName": "g", "solverName": "s", "config": {"a": [1, {"b": "c"}]}})),
    "akamai-no-secrets": refused(
        dns01(akamai={**AKAMAI, "clientTokenSecretRef": {"name": ""}, "accessTokenSecretRef": {"name": "n"}}),
        f"{SOLVERS}.dns01 needs a name and a key in",
        "akamai.accessTokenSecretRef",
        "akamai.clientTokenSecretRef",
    ),
    "akamai-no-domain": refused(
        dns01(akamai={**AKAMAI, "serviceConsumerDomain": ""}), f"{SOLVERS}.dns01", "akamai.serviceConsumerDomain"
    ),
    "akamai": accepted(dns01(akamai=AKAMAI)),
    "acme-dns-no-host": refused(
        dns01(acmeDNS={"host": "", "accountSecretRef": REF}), f"{SOLVERS}.dns01", "acmeDNS.host"
    ),
    "acme-dns-no-account": refused(
        dns01(acmeDNS={"host": "h", "accountSecretRef": {"name": "n"}}), f"{SOLVERS}.dns01", "acmeDNS.accountSecretRef"
    ),
}

TABLE = {**TYPES, **VAULT, **ACME, **DNS01}


@pytest.fixture(scope="module")
def found(cluster: Cluster) -> dict[str, str]:
    """What kubectl says of each row."""
    return answers(cluster, "default", TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_issuer_is_refused_or_accepted(found: dict[str, str], name: str) -> None:
    """Each row by its own words."""
    judge(TABLE[name], found[name])


def test_cluster_issuers_have_the_same_rules(cluster: Cluster) -> None:
    """They are in no namespace, so no label exempts them."""
    rows = {
        name: ({**TABLE[name][0], "kind": "ClusterIssuer"}, TABLE[name][1]) for name in ("solver-both", "vault-no-auth")
    }
    for name, answer in answers(cluster, "default", rows).items():
        judge(rows[name], answer)


def test_an_issuer_without_acme_is_not_asked_about_solvers(cluster: Cluster) -> None:
    """The policy's condition reads spec.acme, which most issuers lack: that must be no error on update either."""
    for image in (issuer(selfSigned={}), issuer(ca={"secretName": "s"}), acme(), issuer(selfSigned={})):
        result = cluster.kubectl("apply", "-f", "-", input=json.dumps(named("changing", image)))
        assert result.returncode == 0
    cluster.kubectl("delete", "issuer", "changing")
