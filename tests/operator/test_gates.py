"""Feature gates by cert-manager's names."""

import pytest

from certwright.flagsettings import settings_of
from certwright.gates import GATES, SIGNING_REQUESTS, parse_gates, without_effect
from certwright.options import parser


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        ("", {}),
        ("NameConstraints=true", {"NameConstraints": True}),
        ("NameConstraints=1,OtherNames=F", {"NameConstraints": True, "OtherNames": False}),
        (f"{SIGNING_REQUESTS}=true, ServerSideApply=False", {SIGNING_REQUESTS: True, "ServerSideApply": False}),
    ],
)
def test_what_is_read(text: str, gates: dict[str, bool]) -> None:
    """A list of names and values."""
    assert parse_gates(text) == gates


@pytest.mark.parametrize("text", ["Nothing=true", "NameConstraints", "NameConstraints=maybe"])
def test_what_is_refused(text: str) -> None:
    """A typo does not pass for a setting."""
    with pytest.raises(ValueError, match="feature gate"):
        parse_gates(text)


def test_what_has_no_effect_is_told() -> None:
    """A gate set to what certwright does anyway is fine, and so is one that switches something."""
    assert without_effect({**GATES, SIGNING_REQUESTS: True}) == []
    (told,) = without_effect({"NameConstraints": False})
    assert told == "feature gate NameConstraints=false has no effect: certwright behaves as with true"


@pytest.mark.parametrize(("flags", "signs"), [((), False), ((f"--feature-gates={SIGNING_REQUESTS}=true",), True)])
def test_signing_requests_are_off_by_default(flags: tuple[str, ...], signs: bool) -> None:  # noqa: FBT001
    """One flag, with cert-manager's words."""
    assert settings_of(parser().parse_args(["run", *flags])).signing_requests is signs
