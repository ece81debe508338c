"""A bucket on this machine: an S3 server that checks signatures and permissions, and web servers over a folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web import free_port, serving, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "vectors"
_REGION = "us-east-1"
_EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
_STARTS_WITHIN_S = 60.0


@dataclass(eq=False, kw_only=True)
class S3Server:
    """A running server with one bucket: who may do everything there, who may do nothing, and how to stop it."""

    url: str
    process: subprocess.Popen[bytes]
    allowed: tuple[str, str] = ("", "")
    denied: tuple[str, str] = ("", "")
    _client: Any = field(default=None, repr=False)

    def environment(self, who: tuple[str, str] | None = None) -> dict[str, str]:
        """Return the variables by which the drivers find the server and are `who`, by default the one who may."""
        key, secret = who or self.allowed
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def let_in(self, monkeypatch: pytest.MonkeyPatch, who: tuple[str, str] | None = None) -> None:
        """Have the drivers of this process find the server and be `who`, by default the one who may."""
        for name, value in self.environment(who).items():
            monkeypatch.setenv(name, value)

    def let_nobody_in(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """Have them find the server and no credentials, not even in the empty folder `home`."""
        self.let_in(monkeypatch)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("HOME", str(home))

    def put(self, folder: Path, prefix: str) -> str:
        """Upload the files of a folder; return their URL."""
        for file in sorted(folder.iterdir()):
            self._client.upload_file(str(file), BUCKET, f"{prefix}/{file.name}")
        return f"s3://{BUCKET}/{prefix}"

    def names(self, prefix: str) -> list[str]:
        """Return the names of what is there."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def stop(self) -> None:
        """End the server in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Run an S3 server, for as long as the block, whose every request must be signed by somebody who is known."""
    pytest.importorskip("moto", reason="pip install 'dimshift[test]' brings the S3 server of these tests")
    import boto3

    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=kept)
    server = S3Server(url=f"http://127.0.0.1:{port}", process=process)
    try:
        wait_for_port(port, process, within_s=_STARTS_WITHIN_S, log=folder / "s3.log")
        about: dict[str, Any] = {"endpoint_url": server.url, "region_name": _REGION}
        root = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        iam = boto3.client("iam", **about, **root)
        server.allowed, server.denied = (_new_key(iam, name) for name in ("allowed", "denied"))
        iam.put_user_policy(UserName="allowed", PolicyName="everything", PolicyDocument=_EVERYTHING)
        _ask_for_signatures(server.url)
        key, secret = server.allowed
        server._client = boto3.client("s3", **about, aws_access_key_id=key, aws_secret_access_key=secret)
        server._client.create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()


class _Quiet(SimpleHTTPRequestHandler):
    """Python's own server of files, which answers every request with the whole file."""

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class _Breaking(_Quiet):
    """One that answers ranges, and breaks off halfway in answers that are longer than a page, `n_breaks` times."""

    n_breaks = 0
    sent: list[int]

    def do_GET(self) -> None:  # the library's name
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            super().do_GET()
            return
        whole = Path(self.translate_path(self.path)).read_bytes()
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        body = whole[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.sent.append(len(body))
        if len(body) > 100_000 and type(self).n_breaks > 0:
            type(self).n_breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)


@contextmanager
def web_server_without_ranges(folder: Path) -> Iterator[str]:
    """Serve a folder by Python's own server."""
    with serving(partial(_Quiet, directory=str(folder))) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def counting_web_server(folder: Path, *, n_breaks: int = 0) -> Iterator[tuple[str, list[int]]]:
    """Serve a folder by ranges; yield the address, and the bytes of each range that was sent.

    The first `n_breaks` long ranges break off halfway.
    """
    handler = type("Handler", (_Breaking,), {"n_breaks": n_breaks, "sent": []})
    with serving(partial(handler, directory=str(folder))) as port:
        yield f"http://127.0.0.1:{port}", handler.sent


@contextmanager
def web_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve a folder by aiohttp's server, which lists it and answers ranges; yield its address and the process."""
    pytest.importorskip("aiohttp", reason="pip install 'dimshift[s3]' brings aiohttp")
    port = free_port()
    code = (
        "import sys; from aiohttp import web; app = web.Application();"
        "app.router.add_static('/', sys.argv[1], show_index=True);"
        "web.run_app(app, host='127.0.0.1', port=int(sys.argv[2]), print=None)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(port)])
    server = S3Server(url=f"http://127.0.0.1:{port}", process=process)
    try:
        wait_for_port(port, process, within_s=_STARTS_WITHIN_S)
        yield server.url, process
    finally:
        server.stop()


def forget_connections() -> None:
    """Let fsspec forget whom it is connected to as whom, so that the next URL is opened with the present variables."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def _ask_for_signatures(url: str) -> None:
    head = {"Content-Type": "application/octet-stream"}
    asked = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", head, method="POST")  # noqa: S310  # on this machine
    urllib.request.urlopen(asked, timeout=30).close()  # noqa: S310  # as above


def _new_key(iam: Any, name: str) -> tuple[str, str]:
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]
