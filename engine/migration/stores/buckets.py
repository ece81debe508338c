"""Places in object storage: what a URL may say of them, and what went wrong there in a sentence without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from engine.errors import ParameterError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

BUCKET_SCHEME = "s3://"
_EXAMPLE = "lancedb+s3://bucket/folder#table"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role, in the environment"
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status: (\d{3})\b|\bstatus (?:code )?(\d{3})\b")
_REFUSED = ("credentials", "accessdenied", "signaturedoesnotmatch", "invalidaccesskeyid", "expiredtoken", "forbidden")
_AWAY = ("connect error", "connecterror", "connection refused", "error sending request", "dns error", "timed out")


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A folder (`prefix`, without slashes at its ends) of the bucket `name` in S3 or what speaks like it."""

    name: str
    prefix: str

    def __str__(self) -> str:
        """Return its address as drivers take it."""
        return BUCKET_SCHEME + self.name + (f"/{self.prefix}" if self.prefix else "")

    def quoted(self) -> str:
        """Return the part of a URL behind ``//``."""
        return self.name + (f"/{quote(self.prefix)}" if self.prefix else "")


def parse_bucket(parts: SplitResult) -> Bucket:
    """Return the bucket that a split URL names.

    Raises
    ------
    ParameterError
        When it names none, or holds credentials: the URL itself is never quoted.
    """
    if "@" in parts.netloc or "@" in parts.path or "@" in parts.query:
        raise ParameterError("credentials of a bucket stay outside of the URL", hint=_CREDENTIALS)
    prefix = unquote(parts.path).strip("/")
    steps = prefix.split("/") if prefix else []
    if not _NAME.fullmatch(parts.netloc) or any(step in {"", ".", ".."} for step in steps):
        raise ParameterError(
            "a LanceDB URL of a bucket must hold the bucket's name and a folder in it", hint=f"Write it as {_EXAMPLE}"
        )
    return Bucket(name=parts.netloc, prefix=prefix)


def bucket_failure(text: str, bucket: Bucket) -> StoreError | None:
    """Return what a driver's long-winded `text` says of object storage; None when it is about something else."""
    said, code, status = text.lower(), _CODE.search(text), _STATUS.search(text)
    number = int(next(one for one in status.groups() if one)) if status else 0
    found = f"{code[1]} at {bucket}" if code else str(bucket)
    if code and code[1] == "NoSuchBucket":
        return StoreError("the bucket must exist", found=bucket)
    if number in {401, 403} or any(word in said for word in _REFUSED):
        what = found if code else f"no credentials that {bucket} takes"
        return StoreError("the bucket must let this machine in", found=what, hint=_CREDENTIALS)
    if number >= 500 or any(word in said for word in _AWAY):
        return StoreUnavailableError("the object storage must answer", found=found, hint="Resume when it does")
    if number or code:
        return StoreError("the object storage must be able to carry this out", found=found)
    return None
