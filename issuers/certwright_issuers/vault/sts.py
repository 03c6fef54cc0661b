"""Temporary AWS credentials for a web identity: STS AssumeRoleWithWebIdentity (AWS STS API, version 2011-06-15)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import requests

from certwright_issuers.contract import Unavailable
from certwright_issuers.egress import EgressPolicy
from certwright_issuers.text import cut
from certwright_issuers.vault.calls import Calls
from certwright_issuers.vault.config import invalid
from certwright_issuers.vault.transport import Security, open_session

_SECONDS = 15.0
_SESSION_NAME = "certwright"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of AWS."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False, default="")


def read_identity_file(path: str) -> str:
    """The token that the platform keeps fresh in a file. Raises ConfigInvalid."""
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise invalid("the file that AWS_WEB_IDENTITY_TOKEN_FILE names can't be read") from None


async def assume_role_with_web_identity(
    calls: Calls, url: str, policy: EgressPolicy, role_arn: str, token: str
) -> Credentials:
    """Exchange a token. Raises ConfigInvalid if AWS refuses, Unavailable if it could not be asked."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role_arn,
        "RoleSessionName": _SESSION_NAME,
        "WebIdentityToken": token,
    }

    def work() -> requests.Response:
        with open_session(url, policy, Security(), 1) as session:
            return session.post(url, data=form, headers={"Accept": "application/xml"}, allow_redirects=False)

    try:
        response = await calls.run(work, _SECONDS)
    except (requests.RequestException, OSError, ValueError):
        raise Unavailable("AWSUnreachable", f"AWS STS at {url} did not answer") from None
    answer = response.content.decode("utf-8", "replace")
    if response.status_code != 200:
        told = cut(": ".join(filter(None, (_element(answer, "Code"), _element(answer, "Message")))), 300)
        message = f"AWS STS does not let {role_arn} be assumed: {told or f'HTTP {response.status_code}'}"
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable("AWSUnavailable", message)
        raise invalid(message.replace(token, "[hidden]"))
    found = [_element(answer, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    if not all(found):
        raise Unavailable("AWSUnavailable", f"AWS STS at {url} answered without credentials")
    return Credentials(*found)


def _element(xml: str, name: str) -> str:
    """The text of the first element of this name. The answers are flat, and no XML parser has to be trusted."""
    found = re.search(f"<{name}>([^<]*)</{name}>", xml)
    return html.unescape(found[1]).strip() if found else ""
