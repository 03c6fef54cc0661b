"""Feature gates by cert-manager's names, so that its ``--feature-gates`` keeps working (API contract section 6.2).

certwright has what is on by default in cert-manager for good; a gate that switches something here (SWITCHES) is a
setting, and GATES has its default.
"""

from __future__ import annotations

#: Gate -> whether certwright behaves as with the gate on. Those that can be switched are in SWITCHES as well.
GATES: dict[str, bool] = {
    "ACMEHTTP01IngressPathTypeExact": True,
    "ACMEUseARI": True,
    "AdditionalCertificateOutputFormats": True,
    # Of Kubernetes' own library: all gates of that stage, unless named themselves.
    "AllAlpha": False,
    "AllBeta": True,
    "DefaultPrivateKeyRotationPolicyAlways": True,
    "DisallowInsecureCSRUsageDefinition": True,
    "ExperimentalCertificateSigningRequestControllers": False,
    "ExperimentalGatewayAPISupport": False,
    "ListenerSets": False,
    "LiteralCertificateSubject": True,
    "NameConstraints": True,
    "OtherNames": True,
    "SecretsFilteredCaching": True,
    "ServerSideApply": False,
    "StableCertificateRequestName": True,
    "UseCertificateRequestBasicConstraints": False,
    "UseDomainQualifiedFinalizer": True,
    "ValidateCAA": False,
}
SIGNING_REQUESTS = "ExperimentalCertificateSigningRequestControllers"
RENEWAL_INFO = "ACMEUseARI"
SWITCHES = frozenset({SIGNING_REQUESTS, RENEWAL_INFO})


def parse_gates(text: str) -> dict[str, bool]:
    """``Name=true,Other=false`` to what is set. Raises ValueError for an unknown gate or another word."""
    words = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    found: dict[str, bool] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = entry.partition("=")
        if name not in GATES:
            raise ValueError(f"there is no feature gate {name!r}; there are: {', '.join(GATES)}")
        if value.lower() not in words:
            raise ValueError(f"feature gate {name} must be true or false, not {value!r}")
        found[name] = words[value.lower()]
    return found


def without_effect(gates: dict[str, bool]) -> list[str]:
    """Gates set to what certwright does not do: a sentence for each."""
    return [
        f"feature gate {name}={str(wanted).lower()} has no effect: certwright behaves as with {str(not wanted).lower()}"
        for name, wanted in gates.items()
        if name not in SWITCHES and GATES[name] != wanted
    ]
