"""Servers in front of the archive or in its place: one that encrypts, one that breaks off, one that is no archive."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path


@contextmanager
def answering(answer):
    """A server that gives every visitor the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    visitor.recv(65536)
                    visitor.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def silence():
    """A server that takes every visitor and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def door(port, certificate=None, cut_after=2**62, faults=(), stores=True):
    """A proxy in front of the archive that encrypts (Debian's Orthanc 1.10.1 crashes on HTTPS), breaks off after so
    many bytes of a connection, gives its first visitors such answers of its own, or lets nothing be stored."""
    context, waiting = None, list(faults)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def copy(one, other, left):
        with suppress(OSError):
            while left > 0 and (data := one.recv(min(left, 65536))):
                if not stores and data.startswith(b"POST "):
                    one.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    break
                other.sendall(data)
                left -= len(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(server):
        with suppress(OSError):
            while True:
                visitor, _ = server.accept()
                if waiting:
                    with visitor:
                        visitor.recv(65536)
                        visitor.sendall(waiting.pop(0))
                    continue
                with suppress(OSError):
                    inside = context.wrap_socket(visitor, server_side=True) if context else visitor
                    behind = socket.create_connection(("127.0.0.1", port))
                    for job in ((inside, behind, 2**62), (behind, inside, cut_after)):
                        threading.Thread(target=copy, args=job, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def write_certificate(folder: Path) -> Path:
    """A certificate of its own authority for 127.0.0.1, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test archive")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    text = made.public_bytes(serialization.Encoding.PEM)
    text += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    file = folder / "archive.pem"
    file.write_bytes(text)
    return file
