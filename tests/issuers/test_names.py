"""Distinguished names: order, sets, string types, RFC 4514, and the way back."""

from __future__ import annotations

import contextlib
import csv
import io
import time
import warnings

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import der, names
from certwright_issuers.names import InvalidName, Subject

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
LISTS = st.lists(TEXT, max_size=3).map(tuple)
SUBJECTS = st.builds(Subject, LISTS, LISTS, LISTS, LISTS, LISTS, LISTS, LISTS, TEXT)


def parsed(encoded: bytes) -> list[list[tuple[str, str]]]:
    """What the library makes of a name."""
    return [[(a.rfc4514_attribute_name, str(a.value)) for a in rdn] for rdn in names.library_name(encoded).rdns]


def test_order_and_sets() -> None:
    """C, O, OU, L, ST, STREET, postalCode, CN, serialNumber; several values of a type in one set."""
    subject = Subject(("o2", "o1"), ("ou",), ("DE",), ("st",), ("l",), ("street",), ("80000",), "sn")
    assert parsed(names.subject_der(subject, "cn")) == [
        [("C", "DE")],
        [("O", "o1"), ("O", "o2")],
        [("OU", "ou")],
        [("L", "l")],
        [("ST", "st")],
        [("STREET", "street")],
        [("2.5.4.17", "80000")],
        [("CN", "cn")],
        [("2.5.4.5", "sn")],
    ]


@given(SUBJECTS, TEXT)
def test_fields_survive(subject: Subject, common_name: str) -> None:
    """Fields to DER and back are the same sets of values, and the library reads the name without complaint."""
    encoded = names.subject_der(subject, common_name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.library_name(encoded)
    back, back_name = names.subject_of(encoded)
    assert back_name == common_name
    assert back.serial_number == subject.serial_number
    for field in ("organizations", "countries", "postal_codes", "localities", "provinces", "street_addresses"):
        assert sorted(getattr(back, field)) == sorted(set(getattr(subject, field)))


@pytest.mark.parametrize(
    ("value", "tag"), [("a b'()+,-./:=?9", 0x13), ("a*", 0x0C), ("a@b", 0x0C), ("ä", 0x0C), ("", 0x13)]
)
def test_string_types(value: str, tag: int) -> None:
    """PrintableString where its alphabet allows, else UTF8String."""
    assert bytes([tag, len(value.encode())]) + value.encode() in names.subject_der(Subject((value,)), "")


@pytest.mark.parametrize(
    ("literal", "rdns"),
    [
        ("CN=a,OU=b,O=c", [[("O", "c")], [("OU", "b")], [("CN", "a")]]),
        ("CN=a+UID=b,DC=c", [[("DC", "c")], [("CN", "a"), ("UID", "b")]]),
        (" CN = a , O = b c ", [[("O", "b c")], [("CN", "a")]]),
        (r"CN=a\,b\+c\;d\\e\=f\"g", [[("CN", r'a,b+c;d\e=f"g')]]),
        (r"CN=\ a\ ", [[("CN", " a ")]]),
        (r"CN=Lu\C4\8Di\c4\87", [[("CN", "Lučić")]]),
        ("CN=a;O=b", [[("O", "b")], [("CN", "a")]]),
        ("CN=a=b,2.5.4.12=t", [[("2.5.4.12", "t")], [("CN", "a=b")]]),
        ("CN=#0C0261C4", None),
        ("CN=#0C0161,SERIALNUMBER=7", [[("2.5.4.5", "7")], [("CN", "a")]]),
        ("CN=,O=x", [[("O", "x")], [("CN", "")]]),
        ('CN="a"', [[("CN", '"a"')]]),
        ("C=Germany,STREET=s,ST=t,L=l", [[("L", "l")], [("ST", "t")], [("STREET", "s")], [("C", "Germany")]]),
        ("", []),
        ("  ", []),
    ],
)
def test_literals(literal: str, rdns: list[list[tuple[str, str]]] | None) -> None:
    """Contract row 8.65: RFC 4514 with the separators of RFC 2253; the last part of the string comes first in the name."""
    if rdns is None:
        with pytest.raises(InvalidName):
            names.literal_der(literal)
    else:
        assert parsed(names.literal_der(literal)) == rdns


@pytest.mark.parametrize(
    "literal",
    [
        "a", "=a", "CN", "cn=a", "E=a@b", "OID.1.2.3=a", "CN=a,", ",CN=a", "CN=a,,O=b", "CN=a+", "CN=a\\", r"CN=\z1",
        r"CN=\ff", "CN=#", "CN=#zz", "CN=#0c", "1.2.x=a", "1.40=a", "1=a", "CN=a+CN=a", "CN=a\0", "CN=\ud800", r"CN=\00",
    ],
)  # fmt: skip
def test_malformed_literals(literal: str) -> None:
    """Contract row 8.65: unknown and lower-case types, dangling separators and escapes, no text, NUL, repetition."""
    with pytest.raises(InvalidName):
        names.literal_der(literal)


@given(st.text(st.sampled_from(list('CNO=,+;\\# "a1.5ä\0')), max_size=40))
def test_literals_are_total(literal: str) -> None:
    """Any string is either a name the library can read or an InvalidName."""
    try:
        encoded = names.literal_der(literal)
    except InvalidName:
        return
    names.library_name(encoded)


@given(st.lists(TEXT.filter(str.strip), min_size=1, max_size=4))
def test_literals_agree_with_the_library(values: list[str]) -> None:
    """What the library writes as RFC 4514 is read as the same name; the types of strings may differ."""
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.ORGANIZATION_NAME, value) for value in values])
    again = names.read_name(names.literal_der(name.rfc4514_string()))
    assert [attribute.value for (attribute,) in again] == values


@pytest.mark.parametrize(
    "literal", ["CN=" + "a" * 200_000, "CN=a," * 30_000, "\\" * 150_000, "CN=" + "+" * 150_000, " " * 200_000 + "x"]
)
def test_literals_take_linear_time(literal: str) -> None:
    """A string far beyond anything stored costs less than half a second."""
    begin = time.process_time()
    with contextlib.suppress(InvalidName):
        names.literal_der(literal)
    assert time.process_time() - begin < 0.5


@given(st.binary(max_size=60))
def test_reading_is_total(data: bytes) -> None:
    """Any bytes are a name or an InvalidName."""
    with contextlib.suppress(InvalidName):
        names.subject_of(data)
        names.display_name(data)


def test_other_string_types() -> None:
    """Names of other people's certificates: Teletex, BMP, IA5 and Universal strings."""
    values = [
        (0x14, "é".encode("latin-1")),
        (0x1E, "é".encode("utf-16-be")),
        (0x16, b"e"),
        (0x1C, "é".encode("utf-32-be")),
    ]
    encoded = der.sequence(
        *(der.set_of([der.sequence(der.object_id("2.5.4.10"), der.tlv(tag, value))]) for tag, value in values)
    )
    assert names.subject_of(encoded)[0].organizations == ("é", "é", "e", "é")


def test_display() -> None:
    """For people: RFC 4514 order, without control characters."""
    encoded = names.subject_der(Subject(("Ä, Inc",), countries=("DE",)), "a\nb")
    assert names.display_name(encoded) == "CN=a?b,O=Ä\\, Inc,C=DE"


@given(st.lists(TEXT, max_size=4).filter(lambda values: values != [""]))
def test_csv_line(values: list[str]) -> None:
    """A reader of CSV gets the values back; no value, no text."""
    line = names.csv_line(values)
    assert (next(csv.reader(io.StringIO(line, newline=""))) if line else []) == values


def test_csv_quotes_as_go_does() -> None:
    """Quotes stand only where they are needed, a leading space among the reasons."""
    assert names.csv_line(["\x1ca", "\u00a0a", "\u2003a"]) == '\x1ca,"\u00a0a","\u2003a"'
    assert names.csv_line(["a b", " a", "a,b", 'a"b', "", "a ", "\\."]) == 'a b," a","a,b","a""b",,a ,"\\."'


@given(st.lists(TEXT, max_size=4).filter(lambda values: values != [""]))
def test_csv_line_and_back(values: list[str]) -> None:
    """What csv_line writes, read_csv_line reads."""
    assert names.read_csv_line(names.csv_line(values)) == tuple(values)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        ("a, b", ("a", " b")),
        ('"a,b",c', ("a,b", "c")),
        ('"say ""no""",c', ('say "no"', "c")),
        ('""', ("",)),
        ("a,", ("a", "")),
        (",", ("", "")),
        ("a\r\n", ("a",)),
        ('"a\nb"', ("a\nb",)),
        ("\\,a", ("\\", "a")),
    ],
)
def test_reading_a_csv_line(line: str, values: tuple[str, ...]) -> None:
    """Spaces belong to values, quotes don't, doubled ones do."""
    assert names.read_csv_line(line) == values


@pytest.mark.parametrize("line", ['a"b', 'a "b"', '"a', '"a"b', '"a" ,b', "a\nb", "a\rb", '"a""'])
def test_csv_lines_that_are_none(line: str) -> None:
    """Misplaced quotes and second lines are refused instead of guessed at."""
    with pytest.raises(ValueError, match="is not one line of values"):
        names.read_csv_line(line)


def test_reading_a_csv_line_takes_linear_time() -> None:
    """Annotations may be 256 KiB long."""
    begin = time.process_time()
    names.read_csv_line('"' + '""' * 130_000 + '"')
    names.read_csv_line("," * 260_000)
    with contextlib.suppress(ValueError):
        names.read_csv_line('"' + '""' * 130_000)
    assert time.process_time() - begin < 0.5
