"""Certificates that kubectl apply refuses, with words that name the field and the reason; and some it must not refuse."""

import pytest

from devcluster import Cluster
from tests.e2e.admission import Row, accepted, answers, certificate, judge, refused

pytestmark = pytest.mark.e2e

JKS = {"create": True, "password": "secret"}

TABLE: dict[str, Row] = {
    "plain": accepted(certificate()),
    # Presence, names, references
    "no-spec": refused({**certificate(), "spec": None}, "spec", "spec is required"),
    "no-secret-name": refused(certificate(secretName=None), "spec.secretName", "Required"),
    "empty-secret-name": refused(certificate(secretName=""), "spec.secretName", "name of a Secret"),
    "bad-secret-name": refused(certificate(secretName="Tls_1"), "spec.secretName", "name of a Secret"),
    "long-secret-name": refused(certificate(secretName="a" * 254), "spec.secretName", "at most 253"),
    "longest-secret-name": accepted(certificate(secretName="a" * 253)),
    "no-issuer": refused(certificate(issuerRef=None), "spec.issuerRef", "Required"),
    "no-issuer-name": refused(certificate(issuerRef={"name": ""}), "spec.issuerRef.name", "must not be empty"),
    "unknown-issuer-kind": refused(
        certificate(issuerRef={"name": "x", "kind": "AWSPCAIssuer"}), "spec.issuerRef.kind", "set issuerRef.group"
    ),
    "unknown-kind-of-our-group": refused(
        certificate(issuerRef={"name": "x", "kind": "Foo", "group": "cert-manager.io"}),
        "spec.issuerRef.kind",
        "Issuer or ClusterIssuer",
    ),
    "issuer-of-another-group": accepted(certificate(issuerRef={"name": "x", "kind": "Foo", "group": "a.example"})),
    "cluster-issuer": accepted(certificate(issuerRef={"name": "x", "kind": "ClusterIssuer", "group": ""})),
    "no-name-at-all": refused(certificate(dnsNames=None), "spec", "at least one of commonName"),
    "empty-names": refused(certificate(dnsNames=[], commonName=""), "spec", "at least one of commonName"),
    "common-name-only": accepted(certificate(dnsNames=None, commonName="a")),
    "literal-subject-without-cn": refused(certificate(dnsNames=None, literalSubject="O=a"), "at least one of"),
    "literal-subject-with-empty-cn": refused(certificate(dnsNames=None, literalSubject="O=a,CN="), "at least one of"),
    "literal-subject-with-oid-of-cn": accepted(certificate(dnsNames=None, literalSubject="O=a,2.5.4.3=b")),
    "literal-subject-with-cn": accepted(certificate(dnsNames=None, literalSubject="O=a, CN=b")),
    "common-name-65": refused(certificate(commonName="a" * 65), "spec.commonName", "at most 64 bytes"),
    "common-name-64": accepted(certificate(commonName="a" * 64)),
    "common-name-bytes": refused(certificate(commonName="ä" * 33), "spec.commonName", "at most 64 bytes"),
    # Names, element by element
    "bad-ip": refused(
        certificate(ipAddresses=["10.0.0.1", "10.0.0.256"]), "spec.ipAddresses", "not an IP", "10.0.0.256"
    ),
    "good-ips": accepted(certificate(ipAddresses=["10.0.0.1", "fe80::1", "::ffff:10.0.0.1"])),
    "named-email": refused(certificate(emailAddresses=["A <a@b.c>"]), "spec.emailAddresses", "bare", "A <a@b.c>"),
    "bad-email": refused(certificate(emailAddresses=["a.b.c"]), "spec.emailAddresses", "bare e-mail address: a.b.c"),
    "dotted-email": refused(certificate(emailAddresses=["a..b@c"]), "spec.emailAddresses", "bare"),
    "good-emails": accepted(certificate(emailAddresses=["a.b+c@d.example", '"a b"@d', "a@[10.0.0.1]", "ä@b.example"])),
    "bad-uri": refused(certificate(uris=["http://a b/"]), "spec.uris", "not an absolute URI"),
    "relative-uri": refused(certificate(uris=["/a"]), "spec.uris", "not an absolute URI: /a"),
    "good-uris": accepted(certificate(uris=["spiffe://a.example/b", "urn:uuid:0-1", "https://[::1]:8/x?y#z"])),
    "other-name-no-oid": refused(certificate(otherNames=[{"utf8Value": "u"}]), "spec.otherNames[].oid", "dotted"),
    "other-name-bad-oid": refused(
        certificate(otherNames=[{"oid": "1.x", "utf8Value": "u"}]), "spec.otherNames[].oid", '"1.x"'
    ),
    "other-name-no-value": refused(certificate(otherNames=[{"oid": "1.2.3"}]), "spec.otherNames[].utf8Value", "empty"),
    "good-other-name": accepted(certificate(otherNames=[{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "u@d"}])),
    # Literal subject
    "literal-and-common-name": refused(
        certificate(literalSubject="CN=a", commonName="a"), "spec.commonName", "cannot be used with literalSubject"
    ),
    "literal-and-subject": refused(
        certificate(literalSubject="CN=a", subject={"organizations": ["o"]}), "spec.subject", "with literalSubject"
    ),
    "literal-and-serial": refused(
        certificate(literalSubject="CN=a", subject={"serialNumber": "1"}), "spec.subject", "with literalSubject"
    ),
    "literal-and-empty-subject": accepted(certificate(literalSubject="CN=a", subject={"organizations": []})),
    "literal-unknown-key": refused(certificate(literalSubject="CN=a,FOO=b"), "spec.literalSubject", "RFC 4514"),
    "literal-lower-case": refused(certificate(literalSubject="cn=a"), "spec.literalSubject", "RFC 4514"),
    "literal-no-value": refused(certificate(literalSubject="CN"), "spec.literalSubject", "RFC 4514"),
    "literal-trailing-comma": refused(certificate(literalSubject="CN=a,"), "spec.literalSubject", "RFC 4514"),
    "literal-long-cn": refused(certificate(literalSubject=f"O=b,CN={'a' * 65}"), "spec.literalSubject", "64 bytes"),
    "good-literal": accepted(
        certificate(literalSubject=r"CN=a\, b\+c\\,OU=x+O=y,DC=d,UID=u,SERIALNUMBER=1,STREET=s,L=l,ST=t,C=DE,1.2.3=z\,")
    ),
    # Private key
    "rsa-1024": refused(certificate(privateKey={"size": 1024}), "spec.privateKey.size", "2048 to 8192 for RSA"),
    "rsa-8193": refused(certificate(privateKey={"algorithm": "RSA", "size": 8193}), "spec.privateKey.size", "8192"),
    "rsa-3000": accepted(certificate(privateKey={"size": 3000})),
    "rsa-0": accepted(certificate(privateKey={"size": 0})),
    "ecdsa-2048": refused(certificate(privateKey={"algorithm": "ECDSA", "size": 2048}), "spec.privateKey.size", "521"),
    "ecdsa-521": accepted(certificate(privateKey={"algorithm": "ECDSA", "size": 521})),
    "ed25519-any": accepted(certificate(privateKey={"algorithm": "Ed25519", "size": 7})),
    "unknown-algorithm": refused(certificate(privateKey={"algorithm": "DSA"}), "spec.privateKey.algorithm", '"ECDSA"'),
    "unknown-encoding": refused(certificate(privateKey={"encoding": "PEM"}), "spec.privateKey.encoding", "PKCS8"),
    "unknown-rotation": refused(certificate(privateKey={"rotationPolicy": "No"}), "rotationPolicy", "Always"),
    "signature-of-other-key": refused(
        certificate(signatureAlgorithm="ECDSAWithSHA256"), "spec.signatureAlgorithm", "does not suit"
    ),
    "signature-rsa-for-ecdsa": refused(
        certificate(signatureAlgorithm="SHA256WithRSA", privateKey={"algorithm": "ECDSA"}), "spec.signatureAlgorithm"
    ),
    "signature-for-ed25519": refused(
        certificate(signatureAlgorithm="SHA256WithRSA", privateKey={"algorithm": "Ed25519"}), "spec.signatureAlgorithm"
    ),
    "signature-ecdsa": accepted(certificate(signatureAlgorithm="ECDSAWithSHA384", privateKey={"algorithm": "ECDSA"})),
    "signature-ed25519": accepted(certificate(signatureAlgorithm="PureEd25519", privateKey={"algorithm": "Ed25519"})),
    "signature-unknown": refused(
        certificate(signatureAlgorithm="MD5WithRSA"), "spec.signatureAlgorithm", "Unsupported"
    ),
    # Times
    "duration-59m": refused(certificate(duration="59m"), "spec.duration", "at least 1h"),
    "duration-1h": accepted(certificate(duration="1h")),
    "duration-days": refused(certificate(duration="90d"), "spec.duration", "written like 2160h"),
    "duration-empty": refused(certificate(duration=""), "spec.duration", "written like 2160h"),
    "duration-negative": refused(certificate(duration="-2160h"), "spec.duration", "at least 1h"),
    "duration-fraction": accepted(certificate(duration="1.5h30m0.5s")),
    "renew-before-4m": refused(certificate(renewBefore="4m59s"), "spec.renewBefore", "at least 5m"),
    "renew-before-5m": accepted(certificate(renewBefore="5m")),
    "renew-before-duration": refused(
        certificate(duration="2h", renewBefore="2h"), "spec.renewBefore", "less than duration"
    ),
    "renew-before-default": refused(certificate(renewBefore="2160h"), "spec.renewBefore", "2160h when absent"),
    "both-renew-before": refused(
        certificate(renewBefore="1h", renewBeforePercentage=30), "spec.renewBeforePercentage", "exclude each other"
    ),
    "percentage-100": refused(
        certificate(duration="2h", renewBeforePercentage=100), "spec.renewBeforePercentage", "1 to 99"
    ),
    "percentage-0": refused(
        certificate(duration="2h", renewBeforePercentage=0), "spec.renewBeforePercentage", "1 to 99"
    ),
    "percentage-too-soon": refused(
        certificate(duration="1h", renewBeforePercentage=92), "spec.renewBeforePercentage", "at least 5m old"
    ),
    "percentage-91": accepted(certificate(duration="1h", renewBeforePercentage=91)),
    "percentage-alone": accepted(certificate(renewBeforePercentage=33)),
    # Renewal
    "renewal-without-policy": refused(certificate(renewal={}), "spec.renewal.policy", "RenewBefore or Disabled"),
    "renewal-unknown-policy": refused(certificate(renewal={"policy": "No"}), "spec.renewal.policy", "Unsupported"),
    "renewal-windows-disabled": refused(
        certificate(renewal={"policy": "Disabled", "windows": [{"cron": "@daily", "windowDuration": "1h"}]}),
        "spec.renewal.windows",
        "when renewal.policy is Disabled",
    ),
    **{
        f"renewal-cron-{name}": refused(
            certificate(renewal={"policy": "RenewBefore", "windows": [{"cron": cron, "windowDuration": "1h"}]}),
            "spec.renewal.windows[].cron",
        )
        for name, cron in {
            "minute": "60 * * * *",
            "hour": "* 24 * * *",
            "day": "* * 0 * *",
            "month": "* * * 13 *",
            "weekday": "* * * * 8",
            "step": "*/0 * * * *",
            "list": "1, * * * *",
            "seconds": "0 0 2 * * 6",
        }.items()
    },
    "renewal-good-crons": accepted(
        certificate(
            renewal={
                "policy": "RenewBefore",
                "windows": [
                    {"cron": cron, "windowDuration": "1h"}
                    for cron in ("*/5 0-23/2 1,15,31 JAN-mar,12 ?", "  59 23  31 12 7 ", "@daily", "1/5 * * * mon-FRI")
                ],
            }
        )
    ),
    "renewal-bad-cron": refused(
        certificate(renewal={"policy": "RenewBefore", "windows": [{"cron": "* * *", "windowDuration": "1h"}]}),
        "spec.renewal.windows[].cron",
        '"* * *"',
    ),
    "renewal-no-window-duration": refused(
        certificate(renewal={"policy": "RenewBefore", "windows": [{"cron": "@daily"}]}), "windowDuration", "Required"
    ),
    "renewal-bad-window-duration": refused(
        certificate(renewal={"policy": "RenewBefore", "windows": [{"cron": "@daily", "windowDuration": "1d"}]}),
        "spec.renewal.windows[0].windowDuration",
    ),
    "renewal-bad-zone": refused(
        certificate(
            renewal={
                "policy": "RenewBefore",
                "windows": [{"cron": "@daily", "windowDuration": "1h", "timezone": "Mars/Olympus"}],
            }
        ),
        "spec.renewal.windows[].timezone",
        "unknown time zone Mars/Olympus",
    ),
    "renewal-offset-zone": refused(
        certificate(
            renewal={
                "policy": "RenewBefore",
                "windows": [{"cron": "@daily", "windowDuration": "1h", "timezone": "+02:00"}],
            }
        ),
        "spec.renewal.windows[].timezone",
    ),
    "good-renewal": accepted(
        certificate(
            renewal={
                "policy": "RenewBefore",
                "windows": [
                    {"cron": "0 2 * * SAT", "windowDuration": "4h", "timezone": "Europe/Berlin"},
                    {"cron": "@weekly", "windowDuration": "1h30m"},
                ],
            }
        )
    ),
    # The rest
    "unknown-usage": refused(
        certificate(usages=["signing", "flying"]), "spec.usages[1]", 'Unsupported value: "flying"'
    ),
    "good-usages": accepted(certificate(usages=["server auth", "s/mime", "netscape sgc"])),
    "history-0": refused(certificate(revisionHistoryLimit=0), "spec.revisionHistoryLimit", "at least 1"),
    "history-1": accepted(certificate(revisionHistoryLimit=1)),
    "template-bad-label": refused(
        certificate(secretTemplate={"labels": {"a b": "c"}}), "spec.secretTemplate.labels", "a b=c"
    ),
    "template-bad-label-value": refused(
        certificate(secretTemplate={"labels": {"a": "-"}}), "spec.secretTemplate.labels", "a=-"
    ),
    "template-bad-annotation": refused(
        certificate(secretTemplate={"annotations": {"a b": "c"}}), "spec.secretTemplate.annotations", '"a b"'
    ),
    "template-upper-case-annotation": accepted(certificate(secretTemplate={"annotations": {"Example.COM/Note": "c"}})),
    "template-our-annotation": refused(
        certificate(secretTemplate={"annotations": {"cert-manager.io/issuer-name": "x"}}),
        "spec.secretTemplate.annotations",
        "cert-manager.io/issuer-name",
    ),
    "good-template": accepted(
        certificate(
            secretTemplate={
                "annotations": {"cert-manager.io/allow-direct-injection": "true", "any.example/key": "any value"},
                "labels": {"app.example/name": "x", "plain": ""},
            }
        )
    ),
    "constraints-without-ca": refused(
        certificate(nameConstraints={"permitted": {"dnsDomains": ["a"]}}), "spec.nameConstraints", "isCA is true"
    ),
    "constraints-empty": refused(certificate(isCA=True, nameConstraints={}), "spec.nameConstraints", "permitted or"),
    "constraints-bad-cidr": refused(
        certificate(isCA=True, nameConstraints={"excluded": {"ipRanges": ["10.0.0.0/8", "10.0.0.0"]}}),
        "spec.nameConstraints",
        "ipRanges",
        "CIDR notation: 10.0.0.0",
    ),
    "good-constraints": accepted(
        certificate(
            isCA=True, nameConstraints={"critical": True, "permitted": {"ipRanges": ["10.0.0.0/8", "fd00::/8"]}}
        )
    ),
    "format-twice": refused(
        certificate(additionalOutputFormats=[{"type": "DER"}, {"type": "DER"}]),
        "spec.additionalOutputFormats",
        "must not repeat",
    ),
    "format-thrice": refused(
        certificate(additionalOutputFormats=[{"type": "DER"}, {"type": "CombinedPEM"}, {"type": "DER"}]),
        "spec.additionalOutputFormats",
    ),
    "format-unknown": refused(certificate(additionalOutputFormats=[{"type": "PEM"}]), "Unsupported", "CombinedPEM"),
    "both-formats": accepted(certificate(additionalOutputFormats=[{"type": "DER"}, {"type": "CombinedPEM"}])),
    "keystore-no-password": refused(
        certificate(keystores={"jks": {"create": False}}), "spec.keystores.jks", "exactly one of password"
    ),
    "keystore-two-passwords": refused(
        certificate(keystores={"jks": {**JKS, "passwordSecretRef": {"name": "s"}}}), "spec.keystores.jks", "exactly one"
    ),
    "keystore-empty-password": refused(
        certificate(keystores={"pkcs12": {"create": True, "password": ""}}),
        "spec.keystores.pkcs12.password",
        "must not be empty",
    ),
    "keystore-unnamed-secret": refused(
        certificate(keystores={"pkcs12": {"create": True, "passwordSecretRef": {"name": ""}}}), "spec.keystores.pkcs12"
    ),
    "keystore-unknown-profile": refused(
        certificate(keystores={"pkcs12": {"create": True, "password": "x", "profile": "Old"}}), "profile", "Modern2023"
    ),
    "good-keystores": accepted(
        certificate(keystores={"jks": JKS, "pkcs12": {"create": False, "passwordSecretRef": {"name": "s", "key": "k"}}})
    ),
    "many-names": accepted(certificate(dnsNames=[f"n{i}.example" for i in range(1000)], uris=["urn:a"] * 500)),
    "many-bad-ips": refused(
        certificate(ipAddresses=[f"10.0.0.x{i}" for i in range(500)]), "spec.ipAddresses", "not an IP"
    ),
}


@pytest.fixture(scope="module")
def found(cluster: Cluster) -> dict[str, str]:
    """What kubectl says of each row."""
    return answers(cluster, "default", TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_certificate_is_refused_or_accepted(found: dict[str, str], name: str) -> None:
    """Each row by its own words."""
    judge(TABLE[name], found[name])
