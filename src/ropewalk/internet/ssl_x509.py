"""What an X.509 certificate says (RFC 5280), read from its DER (X.690): the standard library's ssl does not tell.

    SEQUENCE {                              the certificate
      SEQUENCE {                            what is signed
        [0] version, serial, signature algorithm, issuer, SEQUENCE { from, until }, subject, public key,
        [1], [2] (never used), [3] extensions }
      signature algorithm, signature }

Tuples are unpacked without asking how long they are: what is wrong is a ValueError either way. Nothing is verified
here; that is OpenSSL's part.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

INTEGER, SEQUENCE = 0x02, 0x30
_OCTETS, _OID, _UTC_TIME, _TIME, _SET = 0x04, 0x06, 0x17, 0x18, 0x31
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87   # of a GeneralName

_ENCODINGS = {
    0x0C: "utf-8",         # UTF8String
    0x12: "ascii",         # NumericString
    0x13: "ascii",         # PrintableString
    0x14: "latin-1",       # TeletexString, as everybody reads it
    0x16: "ascii",         # IA5String
    0x1C: "utf-32-be",     # UniversalString
    0x1E: "utf-16-be",     # BMPString
}
_ATTRIBUTES = {
    bytes.fromhex("550403"): "commonName",
    bytes.fromhex("550406"): "countryName",
    bytes.fromhex("550407"): "localityName",
    bytes.fromhex("550408"): "stateOrProvinceName",
    bytes.fromhex("55040a"): "organizationName",
    bytes.fromhex("55040b"): "organizationalUnitName",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a certificate says.

    subject, issuer: pairs of an attribute's name and its value, in the certificate's order, of the attributes that a
    DistinguishedName has; not_before, not_after: when it is valid, in UTC; public_key: its SubjectPublicKeyInfo, DER;
    dns_names, addresses: of its subjectAltName.
    """

    serial: int
    subject: tuple[tuple[str, str], ...]
    issuer: tuple[tuple[str, str], ...]
    not_before: datetime
    not_after: datetime
    public_key: bytes
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]


class Item(NamedTuple):
    """One element of DER: its tag, what is in it, and all of its bytes."""

    tag: int
    content: bytes
    whole: bytes

    def value(self, tag: int) -> bytes:
        """The content, if this has the tag `tag`."""
        if self.tag != tag:
            raise ValueError(f"an element has the tag {self.tag:#04x}, where {tag:#04x} belongs")
        return self.content

    def inside(self, tag: int) -> list[Item]:
        """The elements in it, if this has the tag `tag`."""
        return items(self.value(tag))


def items(data: bytes) -> list[Item]:
    """The elements that `data` is made of. Raises ValueError if it is not."""
    found = []
    at = 0
    while at < len(data):
        start, end = _extent(data, at)
        found.append(Item(data[at], data[start:end], data[at:end]))
        at = end
    return found


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    if len(data) < at + 2 or data[at] & 0x1F == 0x1F:   # tags of several bytes are not used in certificates
        raise ValueError("an element is cut off, or has a tag of several bytes")
    start, size = at + 2, data[at + 1]
    if size & 0x80:
        digits = data[start : start + (size & 0x7F)]
        start += size & 0x7F
        size = int.from_bytes(digits, "big")
    if len(data) < start + size:
        raise ValueError("an element is cut off")
    return start, start + size


def read(der: bytes) -> Contents:
    """What the certificate `der` says. Raises ValueError if it is none."""
    (certificate,) = items(der)
    signed, *_ = certificate.inside(SEQUENCE)
    fields = signed.inside(SEQUENCE)
    if fields and fields[0].tag == _VERSION:
        del fields[0]
    serial, _, issuer, validity, subject, public_key, *others = fields
    not_before, not_after = map(_time, validity.inside(SEQUENCE))
    dns_names, addresses = _alternative_names(others)
    return Contents(
        int.from_bytes(serial.value(INTEGER), "big", signed=True),
        _name(subject),
        _name(issuer),
        not_before,
        not_after,
        public_key.whole,
        dns_names,
        addresses,
    )


def _name(item: Item) -> tuple[tuple[str, str], ...]:
    found = []
    for relative in item.inside(SEQUENCE):
        for attribute in relative.inside(_SET):
            kind, value = attribute.inside(SEQUENCE)
            name = _ATTRIBUTES.get(kind.value(_OID))
            if name is not None:
                found.append((name, _text(value)))
    return tuple(found)


def _text(item: Item) -> str:
    if item.tag not in _ENCODINGS:
        raise ValueError(f"a name has the tag {item.tag:#04x}, which is no string")
    return item.content.decode(_ENCODINGS[item.tag])


def _time(item: Item) -> datetime:
    text = item.content.decode("ascii")
    if item.tag == _UTC_TIME:   # RFC 5280, 4.1.2.5.1
        text = ("19" if text >= "5" else "20") + text
    elif item.tag != _TIME:
        raise ValueError(f"a time has the tag {item.tag:#04x}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _alternative_names(fields: list[Item]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    extensions = [extension for field in fields if field.tag == _EXTENSIONS for extension in _extensions(field)]
    names = [name for kind, value in extensions if kind == _ALTERNATIVE_NAMES for name in _only(value).inside(SEQUENCE)]
    dns_names = tuple(name.content.decode("ascii") for name in names if name.tag == _DNS_NAME)
    return dns_names, tuple(str(ipaddress.ip_address(name.content)) for name in names if name.tag == _IP_ADDRESS)


def _extensions(field: Item) -> list[tuple[bytes, bytes]]:
    """The identifier and the value of each; between them may be whether it is critical."""
    found = []
    for extension in _only(field.content).inside(SEQUENCE):
        kind, *_, value = extension.inside(SEQUENCE)
        found.append((kind.value(_OID), value.value(_OCTETS)))
    return found


def _only(data: bytes) -> Item:
    (item,) = items(data)
    return item
