"""Java and PKCS#12 stores in a Certificate's Secret: ``spec.keystores``."""

from __future__ import annotations

from typing import Annotated, ClassVar

from certwright.api.meta import Doc, Model, Rule, SecretKeySelector, not_empty

_PASSWORD = Doc(
    "The password itself. Exactly one of password and passwordSecretRef is set, even when create is false.",
    rules=(not_empty("password"),),
)
_PASSWORD_SECRET = Doc("A Secret in the same namespace with the password.")
_ONE_PASSWORD = Rule(
    "has(self.password) != (has(self.passwordSecretRef) && self.passwordSecretRef.name != '')",
    "exactly one of password and passwordSecretRef (with a name) must be set",
    ".passwordSecretRef",
)


class JKSKeystore(Model, frozen=True, kw_only=True):
    """spec.keystores.jks."""

    alias: Annotated[str, Doc("Alias of the key entry; `certificate` when empty.")] = ""
    create: Annotated[
        bool, Doc("Whether to write `keystore.jks`, and `truststore.jks` when the CA is known.", required=True)
    ] = False
    password: Annotated[str, _PASSWORD] = ""
    password_secret_ref: Annotated[SecretKeySelector | None, _PASSWORD_SECRET] = None

    RULES: ClassVar[tuple[Rule, ...]] = (_ONE_PASSWORD,)


class PKCS12Keystore(Model, frozen=True, kw_only=True):
    """spec.keystores.pkcs12."""

    create: Annotated[
        bool, Doc("Whether to write `keystore.p12`, and `truststore.p12` when the CA is known.", required=True)
    ] = False
    password: Annotated[str, _PASSWORD] = ""
    password_secret_ref: Annotated[SecretKeySelector | None, _PASSWORD_SECRET] = None
    profile: Annotated[
        str,
        Doc(
            "Which algorithms encrypt the store. LegacyRC2 (the default) is read by everything and protects little; "
            "Modern2023 suits any Java or OpenSSL of this decade; Modern2026 needs OpenSSL 3.4 or Java 26.",
            schema={"enum": ["LegacyRC2", "LegacyDES", "Modern2023", "Modern2026"]},
        ),
    ] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (_ONE_PASSWORD,)


class Keystores(Model, frozen=True, kw_only=True):
    """spec.keystores."""

    jks: Annotated[JKSKeystore | None, Doc("Java keystore.")] = None
    pkcs12: Annotated[PKCS12Keystore | None, Doc("PKCS#12 keystore.")] = None
