"""Proof of an AWS identity for Vault's aws method: a signed STS request that Vault sends on, never this process.

Signature Version 4 as AWS describes it ("Create a signed AWS API request"); it is forty lines, its library is 90 MB.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from certwright_issuers.contract import Environment
from certwright_issuers.vault.calls import Calls
from certwright_issuers.vault.config import invalid
from certwright_issuers.vault.sts import Credentials, assume_role_with_web_identity, read_identity_file

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}")
_DEFAULT_REGION: Final = "us-east-1"
#: Of the ServiceAccount token that STS is shown once.
_LIFETIME: Final = timedelta(minutes=10)
_BODY: Final = b"Action=GetCallerIdentity&Version=2011-06-15"
_FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AWSIdentity:
    """Who we are to AWS: a role that a ServiceAccount may assume, or what the process itself was given."""

    region: str
    role_arn: str
    #: ServiceAccount whose token is exchanged; empty for ambient credentials.
    account: str
    audiences: tuple[str, ...]
    header_value: str
    environment: Environment
    calls: Calls = field(repr=False)

    def require_usable(self) -> None:
        """Raises ConfigInvalid for what can never work."""
        if self.region and not _REGION.fullmatch(self.region):
            raise invalid(f"spec.vault.auth.aws.region {self.region[:40]!r} is no AWS region")
        if self.account and not self.role_arn:
            raise invalid("spec.vault.auth.aws.iamRoleArn is needed with serviceAccountRef")
        if not self.account and not self.environment.ambient_credentials:
            raise invalid(
                "spec.vault.auth.aws needs serviceAccountRef: the operator's own AWS credentials are not for this issuer"
                " (see --issuer-ambient-credentials)"
            )

    async def signed_request(self) -> dict[str, str]:
        """The fields of the login's body. Raises ConfigInvalid, Unavailable, and what account tokens raise."""
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
        credentials = await self._credentials(region)
        url = f"{sts_url(region)}/"
        headers = {"Content-Type": _FORM, "Host": urlsplit(url).netloc}
        if self.header_value:
            headers["X-Vault-AWS-IAM-Server-ID"] = self.header_value
        signed = sign(credentials, region, "sts", url, headers, _BODY, datetime.now(UTC))
        return {
            "iam_http_request_method": "POST",
            "iam_request_url": base64.b64encode(url.encode()).decode(),
            "iam_request_body": base64.b64encode(_BODY).decode(),
            "iam_request_headers": base64.b64encode(
                json.dumps({name: [value] for name, value in signed.items()}).encode()
            ).decode(),
        }

    async def _credentials(self, region: str) -> Credentials:
        if self.account:
            token = await self.environment.account_tokens(self.account, self.audiences, _LIFETIME)
            return await self._assume(region, self.role_arn, token)
        found = os.environ
        if found.get("AWS_ACCESS_KEY_ID") and found.get("AWS_SECRET_ACCESS_KEY"):
            return Credentials(
                found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found.get("AWS_SESSION_TOKEN", "")
            )
        if found.get("AWS_ROLE_ARN") and found.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
            token = await self.calls.run(lambda: read_identity_file(found["AWS_WEB_IDENTITY_TOKEN_FILE"]), 5)
            return await self._assume(region, found["AWS_ROLE_ARN"], token)
        raise invalid(
            "the operator has no AWS credentials of its own: it has neither AWS_ACCESS_KEY_ID nor "
            "AWS_WEB_IDENTITY_TOKEN_FILE"
        )

    async def _assume(self, region: str, role_arn: str, token: str) -> Credentials:
        url = os.environ.get("AWS_ENDPOINT_URL_STS") or sts_url(region)
        return await assume_role_with_web_identity(self.calls, url, self.environment.egress, role_arn, token)


def sts_url(region: str) -> str:
    """The regional endpoint."""
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def sign(
    credentials: Credentials,
    region: str,
    service: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> dict[str, str]:
    """``headers`` (Host among them) of a POST, with those that carry the signature."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    every = {**headers, "X-Amz-Date": stamp}
    if credentials.session_token:
        every["X-Amz-Security-Token"] = credentials.session_token
    lower = {name.lower(): " ".join(value.split()) for name, value in every.items()}
    names = ";".join(sorted(lower))
    listed = "".join(f"{name}:{lower[name]}\n" for name in sorted(lower))
    parts = urlsplit(url)
    canonical = "\n".join(("POST", parts.path or "/", parts.query, listed, names, hashlib.sha256(body).hexdigest()))
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    every["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return every
