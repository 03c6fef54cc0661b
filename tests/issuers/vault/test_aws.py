"""AWS: the signature against published vectors, and the exchanges with STS and Vault as they were recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from aiohttp import web

from certwright_issuers.contract import ConfigInvalid, Environment, IssuerError, Unavailable
from certwright_issuers.vault.aws import sign
from certwright_issuers.vault.sts import Credentials
from tests.issuers.vault.conftest import issuer_for, request
from tests.issuers.vault.fakevault import FakeVault

#: From AWS's own suite of test vectors for Signature Version 4 (aws-sig-v4-test-suite).
VECTOR_KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
VECTOR_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
#: Shape of an answer in AWS's reference of AssumeRoleWithWebIdentity.
STS_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/certwright</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>canary+session/token=</SessionToken>
      <SecretAccessKey>canary-secret-key</SecretAccessKey>
      <Expiration>2030-01-01T00:00:00Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
STS_REFUSAL = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>
<RequestId>x</RequestId></ErrorResponse>"""
ROLE = "arn:aws:iam::1:role/r"
AUTH = {
    "aws": {
        "role": "vault-role",
        "region": "eu-west-1",
        "iamRoleArn": ROLE,
        "serviceAccountRef": {"name": "sa"},
        "vaultHeaderValue": "vault.example.com",
    }
}


@pytest.mark.parametrize(
    ("headers", "body", "signed", "signature"),
    [
        ({}, b"", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            {"Content-Type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_published_vectors(headers: dict[str, str], body: bytes, signed: str, signature: str) -> None:
    """post-vanilla and post-x-www-form-urlencoded."""
    every = sign(
        VECTOR_KEY,
        "us-east-1",
        "service",
        "https://example.amazonaws.com/",
        {"Host": "example.amazonaws.com", **headers},
        body,
        VECTOR_TIME,
    )
    assert every["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


class FakeSTS:
    """Answers as recorded."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.status, self.answer = 200, STS_ANSWER

    async def handle(self, asked: web.Request) -> web.StreamResponse:
        self.forms.append(parse_qs(await asked.text()))
        return web.Response(status=self.status, text=self.answer, content_type="text/xml")


@pytest_asyncio.fixture
async def sts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSTS]:
    """An STS that the environment names."""
    fake = FakeSTS()
    app = web.Application()
    app.router.add_post("/", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{runner.addresses[0][1]}/")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield fake
    await runner.cleanup()


async def account_token(account: str, audiences: Sequence[str], lifetime: timedelta) -> str:
    assert (account, tuple(audiences)) == ("sa", ("sts.amazonaws.com",))
    return "canary-jwt"


WITH_TOKENS = Environment(name="ns/vault", account_tokens=account_token)


async def test_a_service_account_assumes_a_role(fake: FakeVault, sts: FakeSTS) -> None:
    """Its token goes to STS alone, the signed request to Vault alone."""
    await issuer_for(fake.url, AUTH, environment=WITH_TOKENS).sign(request())
    assert sts.forms == [
        {
            "Action": ["AssumeRoleWithWebIdentity"],
            "Version": ["2011-06-15"],
            "RoleArn": [ROLE],
            "RoleSessionName": ["certwright"],
            "WebIdentityToken": ["canary-jwt"],
        }
    ]
    login = fake.seen[0]
    assert login.path == "/v1/auth/aws/login"
    body = login.body
    assert (body["role"], body["iam_http_request_method"]) == ("vault-role", "POST")
    assert base64.b64decode(body["iam_request_url"]) == b"https://sts.eu-west-1.amazonaws.com/"
    assert base64.b64decode(body["iam_request_body"]) == b"Action=GetCallerIdentity&Version=2011-06-15"
    headers = {name: values[0] for name, values in json.loads(base64.b64decode(body["iam_request_headers"])).items()}
    assert headers["X-Vault-AWS-IAM-Server-ID"] == "vault.example.com"
    assert headers["X-Amz-Security-Token"] == "canary+session/token="
    assert headers["Host"] == "sts.eu-west-1.amazonaws.com"
    assert "/eu-west-1/sts/aws4_request" in headers["Authorization"]
    assert "x-vault-aws-iam-server-id" in headers["Authorization"]
    assert "canary-secret-key" not in json.dumps(fake.seen[0].body) + json.dumps(headers)


async def test_ambient_credentials_are_for_those_who_may(
    fake: FakeVault, sts: FakeSTS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the environment, or by the file that the platform keeps; never for an issuer that may not (S31)."""
    auth = {"aws": {"role": "vault-role"}}
    with pytest.raises(ConfigInvalid, match="not for this issuer"):
        issuer_for(fake.url, auth)
    ambient = Environment(name="vault", ambient_credentials=True)
    with pytest.raises(ConfigInvalid, match="no AWS credentials of its own"):
        await issuer_for(fake.url, auth, environment=ambient).sign(request())
    file = tmp_path / "token"
    file.write_text("canary-jwt\n")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    await issuer_for(fake.url, auth, environment=ambient).sign(request())
    assert sts.forms[0]["WebIdentityToken"] == ["canary-jwt"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret-key")
    await issuer_for(fake.url, auth, environment=ambient).sign(request())
    assert len(sts.forms) == 1
    monkeypatch.setenv("AWS_REGION", "ap-southeast-2")
    issuer = issuer_for(fake.url, auth, environment=ambient)
    await issuer.sign(request())
    url = base64.b64decode(fake.seen[-2].body["iam_request_url"])
    assert url == b"https://sts.ap-southeast-2.amazonaws.com/"


@pytest.mark.parametrize(
    ("status", "answer", "kind", "words"),
    [
        (403, STS_REFUSAL, ConfigInvalid, "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        (400, "<html>canary</html>", ConfigInvalid, "HTTP 400"),
        (503, "", Unavailable, "HTTP 503"),
        (200, "<html>canary</html>", Unavailable, "without credentials"),
    ],
)
async def test_sts_refuses(
    fake: FakeVault, sts: FakeSTS, status: int, answer: str, kind: type[IssuerError], words: str
) -> None:
    """AWS's own words; no body of anything else."""
    sts.status, sts.answer = status, answer
    with pytest.raises(kind) as caught:
        await issuer_for(fake.url, AUTH, environment=WITH_TOKENS).sign(request())
    assert words in caught.value.message
    assert "canary" not in caught.value.message
    assert fake.seen == []
