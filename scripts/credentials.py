"""Make what a secured fleet needs: TLS certificates, and a key for every SuperNode.

    python scripts/credentials.py --out secrets --host superlink.example --nodes 3

writes, every private key readable by its owner only,

    secrets/superlink/ca.crt server.crt server.key    to the SuperLink; ca.crt to everybody
    secrets/node-N/auth.key auth.pub ca.crt           to device N, over a way that you trust

The certificates' own authority is used once and its key kept nowhere: nobody, the reader of
this folder included, can make another certificate that these devices would trust. When the
certificate expires, make all of it anew.
"""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CURVE = ec.SECP384R1()
"""Flower's SuperNode authentication wants a NIST curve."""


def make_certificates(folder: Path, hosts: Sequence[str], days: int) -> None:
    """`ca.crt`, `server.crt` and `server.key` for a SuperLink reached under these hosts."""
    folder.mkdir(parents=True)
    authority, key = ec.generate_private_key(_CURVE), ec.generate_private_key(_CURVE)
    issuer, subject = _name("flower_relay authority"), _name(hosts[0])
    start = datetime.now(UTC) - timedelta(minutes=5)  # devices' clocks differ
    usage = _usage(signs_certificates=True)
    ca = (
        _certificate(issuer, issuer, authority, start, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority, hashes.SHA384())
    )
    names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    server = (
        _certificate(issuer, subject, key, start, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .sign(authority, hashes.SHA384())
    )
    (folder / "ca.crt").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "server.crt").write_bytes(server.public_bytes(Encoding.PEM))
    _write_private(folder / "server.key", key, PrivateFormat.PKCS8)


def make_node_key(folder: Path) -> None:
    """`auth.key` and `auth.pub`, by which a SuperLink tells a SuperNode."""
    folder.mkdir(parents=True)
    key = ec.generate_private_key(_CURVE)
    _write_private(folder / "auth.key", key, PrivateFormat.OpenSSH)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (folder / "auth.pub").write_bytes(public)


def _certificate(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime,
    days: int,
) -> x509.CertificateBuilder:  # fmt: skip
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey, form: PrivateFormat) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument(
        "--host", nargs="+", required=True,
        help="names and addresses under which devices reach the SuperLink",
    )  # fmt: skip
    parser.add_argument("--nodes", type=int, default=3, help="how many SuperNodes")
    parser.add_argument("--days", type=int, default=365, help="validity of the certificates")
    options = parser.parse_args()
    if options.out.exists():
        print(f"{options.out} is there already; nothing was written over.", file=sys.stderr)
        return 1
    make_certificates(
        options.out / "superlink", [*options.host, "localhost", "127.0.0.1"], options.days
    )
    authority = (options.out / "superlink" / "ca.crt").read_bytes()
    for number in range(options.nodes):
        make_node_key(options.out / f"node-{number}")
        (options.out / f"node-{number}" / "ca.crt").write_bytes(authority)
    print(f"Written to {options.out}: superlink/ and {options.nodes} times node-N/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
