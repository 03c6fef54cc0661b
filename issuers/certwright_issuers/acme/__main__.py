"""``python -m certwright_issuers.acme``: obtain one certificate, with a command that publishes challenge answers.

The hook is called as ``COMMAND publish`` and ``COMMAND withdraw`` with these variables in its environment:

======================  ==============================================================================
ACME_TYPE               http-01 or dns-01
ACME_IDENTIFIER         the name or address, without ``*.``
ACME_TOKEN              http-01: the last part of the path ``/.well-known/acme-challenge/<token>``
ACME_VALUE              the file's whole content, or the TXT record's text
ACME_TXT_NAME           dns-01: the record's name
======================  ==============================================================================

It must return only when the CA can see the answer, and must keep other answers at the same place. A status other than
zero ends the issuance. Exit status of this program: 0 a certificate was written; 1 the CA or the network said no;
2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certwright_issuers.acme import challenge, keys
from certwright_issuers.acme.account import ExternalBinding
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.issue import Publication, Wish, issue
from certwright_issuers.acme.order import Identifier, identifiers
from certwright_issuers.acme.transport import Server, Transport
from certwright_issuers.contract import ConfigInvalid, IssuerError, RequestRejected
from certwright_issuers.egress import EgressPolicy

#: Seconds for one call of the hook: DNS providers need up to some minutes until a record is visible.
HOOK_TIMEOUT = 600.0

LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with command line ``arguments``; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except IssuerError as error:
        print(f"{error.reason}: {error.message}", file=sys.stderr)
        return 1
    return 0


class HookSolver:
    """Publishes through a command; see the module's text."""

    def __init__(self, command: Sequence[str], kind: str) -> None:
        self.kinds = (kind,)
        self._command = tuple(command)

    async def publish(self, publication: Publication) -> None:
        """Raises :class:`ConfigInvalid` if the command fails."""
        await self._call("publish", publication)

    async def withdraw(self, publication: Publication) -> None:
        """Raises :class:`ConfigInvalid` if the command fails."""
        await self._call("withdraw", publication)

    async def _call(self, verb: str, publication: Publication) -> None:
        environment = {
            **os.environ,
            "ACME_TYPE": publication.type,
            "ACME_IDENTIFIER": publication.identifier,
            "ACME_TOKEN": publication.token,
            "ACME_VALUE": publication.value,
            "ACME_TXT_NAME": challenge.dns01_name(publication.identifier),
        }
        try:
            process = await asyncio.create_subprocess_exec(*self._command, verb, env=environment)
        except OSError as error:
            raise ConfigInvalid("HookFailed", f"the hook can't be started: {error.strerror}") from error
        try:
            status = await asyncio.wait_for(process.wait(), HOOK_TIMEOUT)
        except TimeoutError as error:
            raise ConfigInvalid("HookFailed", f"the hook took longer than {HOOK_TIMEOUT:g} seconds") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status != 0:
            raise ConfigInvalid("HookFailed", f"the hook's {verb} ended with status {status}")


async def _run(options: argparse.Namespace) -> None:
    names = identifiers(options.domain, options.ip)
    if not names:
        raise RequestRejected("NoNames", "give at least one --domain or --ip")
    async with Transport(_server(options)) as transport:
        client = Client(transport, keys.load(_key_file(options.account_key)))
        await client.register(options.email, _binding(options))
        wish = Wish(
            identifiers=names,
            # The key is on disk before the CSR leaves: a certificate without its key is worth nothing.
            csr_der=_csr(_key_file(options.key), names),
            profile=options.profile,
            preferred_chain=options.preferred_chain,
        )
        solver = HookSolver(shlex.split(options.hook), options.challenge)
        found = await issue(client, wish, solver, timeout=options.timeout)
    _write(Path(options.out), found.pem, 0o644)


def _binding(options: argparse.Namespace) -> ExternalBinding | None:
    if not options.eab_key_id:
        return None
    return ExternalBinding(options.eab_key_id, keys.decode_mac_key(Path(options.eab_key_file).read_bytes()))


def _server(options: argparse.Namespace) -> Server:
    contact = f" (mailto:{options.email[0]})" if options.email else ""
    return Server(
        directory_url=options.server,
        user_agent=f"certwright/{metadata.version('certwright')}{contact}",
        ca_bundle=Path(options.ca_file).read_bytes() if options.ca_file else b"",
        skip_tls_verify=options.insecure_skip_tls_verify,
        egress=EgressPolicy(allow=tuple(ipaddress.ip_network(text) for text in options.allow_network)),
    )


def _key_file(name: str) -> bytes:
    """The key in a file; a new P-256 key, readable by its owner alone, if there is no such file."""
    path = Path(name)
    if not path.exists():
        _write(path, keys.generate().pem(), 0o600)
    return path.read_bytes()


def _csr(key_pem: bytes, names: Sequence[Identifier]) -> bytes:
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigInvalid("InvalidKey", "the certificate's key must be RSA or ECDSA")
    alternatives = [
        x509.DNSName(name.value) if name.type == "dns" else x509.IPAddress(ipaddress.ip_address(name.value))
        for name in names
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Atomically: a reader sees the old file or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m certwright_issuers.acme",
        description="Obtain a certificate from an ACME server. Agrees to the server's terms of service.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--server", default=LETS_ENCRYPT_STAGING, metavar="URL", help="directory of the ACME server")
    add("--domain", action="append", default=[], metavar="NAME", help="DNS name; may be given more than once")
    add("--ip", action="append", default=[], metavar="ADDRESS", help="IP address; may be given more than once")
    add("--hook", required=True, metavar="COMMAND", help="called with 'publish' or 'withdraw' for each challenge")
    add("--challenge", choices=sorted(challenge.VALUES), default=challenge.HTTP01, help="type of challenge to use")
    add("--account-key", required=True, metavar="FILE", help="PEM key of the account, RSA or EC; made if missing")
    add("--key", required=True, metavar="FILE", help="PEM key of the certificate, RSA or EC; made if missing")
    add("--out", required=True, metavar="FILE", help="where the chain is written")
    add("--email", action="append", default=[], metavar="ADDRESS", help="contact of the account")
    add("--eab-key-id", default="", metavar="ID", help="external account binding: key identifier")
    add("--eab-key-file", default="", metavar="FILE", help="external account binding: MAC key in base64url")
    add("--profile", default="", metavar="NAME", help="certificate profile of the server")
    add("--preferred-chain", default="", metavar="CN", help="issuer name at the top of the chain wanted")
    add("--ca-file", default="", metavar="FILE", help="PEM roots that the server's certificate is checked against")
    add("--insecure-skip-tls-verify", action="store_true", help="don't check the server's certificate")
    add("--allow-network", action="append", default=[], metavar="CIDR", help="network to reach though it is not public")
    add("--timeout", type=float, default=600.0, metavar="SECONDS", help="give up after this time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
