"""Certificates made with openssl: an authority, and what it signs."""

import pathlib
import ssl
import subprocess


class Authority:
    """Signs certificates; everything is in `directory`."""

    def __init__(self, directory: pathlib.Path, name: str = "authority"):
        self.directory = directory
        self.certificate = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"
        _openssl("req", "-x509", *_KEY, "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def sign(self, name: str, subject: str | None = None, alternatives: str = "", days: int = 5, file: str | None = None) -> tuple[pathlib.Path, pathlib.Path]:
        """A certificate for `subject` (`/CN=name` unless given) with `alternatives` as openssl writes them; the paths of it and its key."""
        base = file or name
        certificate, key, request = (self.directory / f"{base}.{end}" for end in ("pem", "key", "csr"))
        _openssl("req", "-new", *_KEY, "-keyout", key, "-out", request, "-subj", subject or f"/CN={name}")
        extensions = self.directory / f"{base}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\n" if alternatives else "basicConstraints=CA:FALSE\n", encoding="utf-8")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", str(days), "-out", certificate, "-extfile", extensions)
        return certificate, key


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def client_context(certificate: tuple | None = None, cafile=None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """For a client that shows `certificate` (path, path of the key), and believes any box unless `cafile` is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cafile:
        context.load_verify_locations(cafile)
        context.verify_mode = ssl.CERT_REQUIRED
    if certificate:
        context.load_cert_chain(*map(str, certificate))
    if version:
        context.minimum_version = context.maximum_version = version
    return context
