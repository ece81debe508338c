"""Files at paths and URLs through fsspec: whatever a driver raises comes out as an OSError that shows no secret."""

from __future__ import annotations

import errno
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from engine.embeddings.readers.registry import damage_reported
from engine.embeddings.readers.source import bare_name
from engine.errors import ClusterError, ParameterError, PathError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

PROTOCOLS = ("file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "webhdfs", "http", "https")
_OURS = "'dimshift[s3]'"
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a", "http", "https"), _OURS),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    "webhdfs": "requests",
}
_LIBRARIES = {"aiohttp", "botocore", "aiobotocore", "s3fs", "gcsfs", "google", "adlfs", "azure", "requests"}
_WEB = ("http://", "https://")
_REFUSED, _ABSENT = {401, 403}, {404, 410}
# An address in a driver's message may hold a password or a signature.
_ADDRESS = re.compile(r"\w+://\S+")
_PERMISSIONS = "Check its permissions; for a bucket, set credentials in the environment of the workers"
_ATTEMPTS = 3


def checked_url(url: str) -> str:
    """Return `url` as workers can open it: an absolute path, or a URL of a protocol that holds files.

    Raises
    ------
    ParameterError
        For other protocols, URLs that chain several, and those that hold a password.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    user, at, _ = urlsplit(url).netloc.rpartition("@") if scheme else ("", "", "")
    if ":" in user or (at and scheme in _DRIVERS and _DRIVERS[scheme] == _OURS):  # others name a container before the @
        raise ParameterError("the URL of a corpus must hold no credentials", hint=_PERMISSIONS)
    if "::" in url or (scheme and scheme not in PROTOCOLS):
        raise ParameterError(
            f"parts of a corpus must lie in a folder or below a URL of {', '.join(PROTOCOLS)}",
            found=scheme if scheme and scheme not in PROTOCOLS else "a URL with ::",
        )
    return url if scheme else str(Path(url).absolute())


def file_name(url: str) -> str:
    """Return the last part of a path or URL for messages, without what may be a signature behind it."""
    return bare_name(urlsplit(url).path if url.startswith(_WEB) else url)


def is_web(url: str) -> bool:
    """Tell whether a plain web server holds it: one that has no folders, and may send whole files only."""
    return url.startswith(_WEB)


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path there. Raises ClusterError without its driver."""
    from fsspec.core import url_to_fs  # dask brings it

    try:
        return url_to_fs(url)  # type: ignore[no-any-return]  # fsspec has no types
    except ImportError as error:
        scheme = urlsplit(url).scheme
        driver = _DRIVERS.get(scheme)
        raise ClusterError(
            "every worker must have the fsspec driver of the URL",
            found=f"none for {scheme}",
            hint=f"Install it on the workers: pip install {driver}" if driver else printable(error),
        ) from None


def is_local(fs: Any) -> bool:
    """Tell whether the files of a file system can be mapped."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """Open `url` for reading bytes, for the block; nothing is read ahead, which with Parquet would be of no use."""
    with driver_errors():
        fs, path = filesystem(url)
        with fs.open(path, "rb", cache_type="none") as file:
            yield file


def read_range(url: str, start: int, stop: int) -> bytes:
    """Return bytes `start` to `stop` of the file at `url`, and fetch no others."""
    with driver_errors():
        fs, path = filesystem(url)
        data = bytes(fs.cat_file(path, start=start, end=stop))
    if len(data) != stop - start:
        raise OSError(errno.EIO, f"{len(data):,} bytes of {stop - start:,}")
    return data


def size_of(url: str) -> int:
    """Return the bytes of the file at `url`. Raises PathError where its server does not tell, or sends no ranges."""
    with driver_errors():
        fs, path = filesystem(url)
        size = fs.size(path)
        if size is None:
            raise PathError(
                f"{file_name(url)}: the server of a part must tell its size",
                found="an answer without Content-Length",
                hint="Use a server that does, a bucket, or a shared folder",
            )
        if is_web(url) and size > 1:
            _check_ranges(fs, path, int(size), name=file_name(url))
    return int(size)


def read_or_reported(name: str, work: Callable[[], _T]) -> _T:
    """Return what `work` reads of the file or folder `name`; what is wrong with it, or within it, is an EngineError."""
    with damage_reported(name):
        return asked_again(name, work)


def asked_again(name: str, work: Callable[[], _T]) -> _T:
    """Return what `work` reads, tried three times, since shared and remote files may fail for a moment.

    Raises
    ------
    PathError
        When `name` is not there or closed, which is final, or three times did not answer.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with driver_errors():
                return work()
        except FileNotFoundError as error:
            raise PathError(f"{name}: it must be readable on every worker", found=error.strerror) from None
        except PermissionError as error:
            raise PathError(
                f"{name}: it must be readable on every worker", found=error.strerror, hint=_PERMISSIONS
            ) from None
        except OSError as error:
            failed = error
        if attempt < _ATTEMPTS:
            time.sleep(2.0 ** (attempt - 1))
    raise PathError(
        f"{name}: the storage of the corpus must answer every worker",
        found=f"{_ATTEMPTS} failures, the last one {_text(failed)}",
        hint="Sweep again when it answers; a damaged file fails in the same way",
    )


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turn what a driver raises into an OSError with an errno and a text; whatever is not about storage stays."""
    try:
        yield
    except Exception as error:
        told = _as_os_error(error)
        if told is error:
            raise
        raise told from None


def _as_os_error(error: Exception) -> Exception:
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and _library(cause) == "aiohttp":
        error = cause  # fsspec says this of web servers that refused, or were not there to ask
    status = getattr(error, "status", None)  # of aiohttp
    if isinstance(error, FileNotFoundError) or status in _ABSENT:
        return FileNotFoundError(errno.ENOENT, _text(error, otherwise="no such file or folder"))
    if isinstance(error, PermissionError) or status in _REFUSED or "Credentials" in type(error).__name__:
        return PermissionError(errno.EACCES, _text(error))
    if isinstance(error, OSError):
        return error if error.errno is not None else OSError(errno.EIO, _text(error))
    return OSError(errno.EIO, _text(error)) if _library(error) in _LIBRARIES else error


def _library(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _text(error: Exception, *, otherwise: str = "") -> str:
    status, reason = getattr(error, "status", None), getattr(error, "message", "")
    said = f"HTTP {status} {reason}".strip() if status else getattr(error, "strerror", None) or str(error)
    is_a_sentence = " " in said or not otherwise  # some drivers name the path and nothing else
    said = _ADDRESS.sub("its address", printable(said)) if is_a_sentence else otherwise
    return said or otherwise or type(error).__name__


def _check_ranges(fs: Any, path: str, size: int, *, name: str) -> None:
    # A server that ignores ranges would send the whole part for every stretch; fsspec's file sees that by the head.
    try:
        with fs.open(path, "rb", size=size) as file:
            file.seek(size - 1)
            file.read(1)
    except ValueError:
        raise PathError(
            f"{name}: the server of a part must send ranges of it",
            found="a server that sends whole files only",
            hint="Use one that answers Range requests, as nginx does, a bucket, or a shared folder",
        ) from None
