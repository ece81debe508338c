"""The proxy of the README: a real nginx with the very block that stands there, in front of an app."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.web import wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).resolve().parents[2] / "README.md"
_STARTS_WITHIN_S = 10.0
_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A running nginx: its name, what a browser asks for it, the port where it really is, and its folder."""

    host: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """The address that people open."""
        return f"https://{self.host}"

    @property
    def resolver_rule(self) -> str:
        """What tells chromium where the host is."""
        return f"--host-resolver-rules=MAP {self.host} 127.0.0.1:{self.port}"


def documented_block() -> str:
    """Return the block of nginx's configuration that the README shows."""
    found = re.findall(r"```nginx\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == 1, "the README shows one block for nginx"
    return str(found[0])


def documented_host() -> str:
    """Return the name of the server in that block."""
    return _only(r"server_name (\S+);", documented_block())


def write_configuration(folder: Path, *, app_port: int, port: int) -> Path:
    """Write a configuration around the block; only its two ports and the paths of its certificate are others."""
    block = documented_block()
    certificate, key = _certificate(folder, documented_host())
    for pattern, value in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (r"proxy_pass http://127\.0\.0\.1:8501;", f"proxy_pass http://127.0.0.1:{app_port};"),
        (r"ssl_certificate /[^;]+;", f"ssl_certificate {certificate};"),
        (r"ssl_certificate_key /[^;]+;", f"ssl_certificate_key {key};"),
    ):
        block, times = re.subn(pattern, value, block)
        assert times == 1, f"the block has {pattern} {times} times"
    places = "\n".join(f"    {name}_temp_path {folder}/{name};" for name in _FOLDERS)
    user = "user root;\n" if os.geteuid() == 0 else ""  # whom pytest lets into its folders
    file = folder / "nginx.conf"
    file.write_text(
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\n    access_log {folder}/access.log;\n{places}\n{block}}}\n",
        encoding="utf-8",
    )
    return file


@contextmanager
def running_nginx(program: str, folder: Path, *, app_url: str, port: int) -> Iterator[Proxy]:
    """Run nginx in front of the app at `app_url`, for as long as the block."""
    configuration = write_configuration(folder, app_port=int(app_url.rpartition(":")[2]), port=port)
    log = folder / "error.log"
    command = [program, "-p", str(folder), "-e", str(log), "-c", str(configuration)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process, within_s=_STARTS_WITHIN_S, log=log)
        yield Proxy(host=documented_host(), port=port, folder=folder)
    finally:
        process.terminate()
        process.wait(10)


def _certificate(folder: Path, host: str) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _only(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    assert len(found) == 1, f"the block has {pattern} {len(found)} times"
    return str(found[0])
