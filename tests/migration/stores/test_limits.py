"""What a shared server opens: listed hosts, and folders below its root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AccessError, EngineError, ParameterError
from engine.migration import open_store, parse_url
from engine.migration.stores.limits import STORE_HOSTS, StoreLimits

LISTED = (
    "db.example.com, *.vectors.example.com:6333, 10.1.0.0/16, [fd00::7]:5432, 192.0.2.7:5433, s3://team-*, s3://one"
)


@pytest.fixture
def limits(tmp_path):
    """Return limits with hosts of every form and one folder."""
    (tmp_path / "root").mkdir()
    found = StoreLimits.from_environment(is_shared=True, folders=(tmp_path / "root",), environ={STORE_HOSTS: LISTED})
    assert found is not None
    return found


def test_a_single_user_without_a_list_opens_everything():
    """Without a login and without the variable nothing is limited, as before."""
    assert StoreLimits.from_environment(is_shared=False, environ={}) is None


@pytest.mark.parametrize(
    ("is_shared", "environ"), [(True, {}), (False, {STORE_HOSTS: ""}), (True, {STORE_HOSTS: " , "})]
)
def test_a_shared_server_without_a_list_opens_no_host(is_shared, environ):
    """Whoever signs in reaches no host until somebody lists one; an empty list limits a single user, too."""
    limits = StoreLimits.from_environment(is_shared=is_shared, environ=environ)
    for url in ("postgresql://localhost/db#t", "qdrant://127.0.0.1:6333#t", "postgresql://me@/db#t"):
        with pytest.raises(AccessError, match="only on hosts that its configuration lists"):
            limits.check(parse_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@db.example.com/search#t",
        "postgresql://DB.Example.COM.:5432/search#t",
        "qdrant://a.vectors.example.com#t",
        "qdrant://a.b.vectors.example.com:6333#t",
        "qdrant://10.1.255.1:9999#t",
        "postgresql://[fd00::7]/db#t",
        "postgresql://192.0.2.7:5433/db#t",
        "postgresql:///db?host=db.example.com,10.1.2.3#t",
        "postgresql://db.example.com/db?sslmode=verify-full&sslrootcert=system#t",
        "lancedb+s3://one/folder#t",
        "lancedb+s3://team-search/a/b#t",
    ],
)
def test_listed_hosts_may_be_opened(limits, url):
    """Names in any case, patterns, addresses, networks and ports that the list names."""
    limits.check(parse_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@localhost/db#t",
        "postgresql://me@169.254.169.254/latest#t",
        "qdrant://127.0.0.1:6333#t",
        "qdrant://2130706433:6333#t",
        "qdrant://[::1]:6333#t",
        "qdrant://[::ffff:10.1.2.3]:6333#t",
        "qdrant://db.example.com.evil.net#t",
        "qdrant://evil-db.example.com#t",
        "qdrant://a.vectors.example.com:22#t",
        "postgresql://192.0.2.7/db#t",
        "postgresql://192.0.2.7:5432/db#t",
        # The driver takes the host of the option, and tries each of several.
        "postgresql://db.example.com/db?host=169.254.169.254#t",
        "postgresql:///db?host=db.example.com,127.0.0.1#t",
        "postgresql:///db?host=db.example.com,#t",
        "postgresql://a,b@db.example.com,evil.net/db#t",
        "postgresql:///db?host=192.0.2.7&port=22#t",
        "postgresql:///db?host=192.0.2.7,192.0.2.7&port=5433,22#t",
    ],
)
def test_other_hosts_are_refused_before_anything_is_connected(limits, url):
    """Inner addresses, look-alikes, other ports, and hosts that hide in an option or a list of PostgreSQL's driver."""
    with pytest.raises(AccessError, match=f"{STORE_HOSTS}"):
        open_store(url, limits=limits)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file://{root}/../secret.npy",
        "lancedb:///var/lib#t",
        "qdrant:///tmp#t",
        "file://{root}/link/secret.npy",
        "postgresql://me@/db?host=%2Fvar%2Frun%2Fpostgresql#t",
        "postgresql://me@/db?host=%40abstract#t",
        "postgresql://me@db.example.com/db?sslrootcert=%2Fetc%2Fpasswd#t",
        "postgresql://me@db.example.com/db?sslrootcert=relative#t",
    ],
)
def test_files_folders_sockets_and_certificates_stay_below_the_root(limits, tmp_path, url):
    """Stores on disk, sockets in the file system and certificates elsewhere are one sentence, whether there or not."""
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(AccessError, match="must lie below the data root"):
        open_store(url.format(root=tmp_path / "root"), limits=limits)


@pytest.mark.parametrize("bucket", ["other", "one.two", "db.example.com", "my-team-search"])
def test_other_buckets_are_refused(limits, bucket):
    """The server's own credentials open no bucket that is not listed as one, whatever hosts are listed."""
    with pytest.raises(AccessError, match=rf"only buckets that .* found s3://{bucket}\. .* {STORE_HOSTS}"):
        open_store(f"lancedb+s3://{bucket}/folder#t", limits=limits)


def test_a_listed_bucket_is_no_host(limits):
    """A host that is called like the pattern of a bucket is none that is listed."""
    with pytest.raises(AccessError, match="only on hosts"):
        limits.check(parse_url("postgresql://s3%3A%2F%2Fone/db#t"))


def test_what_lies_below_the_root_or_a_further_folder_is_opened(limits, tmp_path):
    """Files below the data root and below the folder of the demonstration."""
    with open_store(f"file://{tmp_path / 'root'}/vectors.npy", limits=limits) as store:
        assert not store.exists()
    own = tmp_path / "own"
    with pytest.raises(AccessError):
        limits.check(parse_url(f"lancedb://{own}/lance#t"))
    limits.with_folders((own,)).check(parse_url(f"lancedb://{own}/lance#t"))


@pytest.mark.parametrize("listed", ["http://db", "user@db", "db other", "/var/run", "x" * 20_000])
def test_a_list_that_holds_something_else_is_refused(listed):
    """A URL, a path or a list without commas is told at once, not silently taken for a host."""
    if len(listed) > 10_000:
        listed = f"{listed},db"
    with pytest.raises(ParameterError, match="lists hosts and buckets with commas between"):
        StoreLimits.from_environment(is_shared=True, environ={STORE_HOSTS: listed})


@given(host=st.text(min_size=1, max_size=30))
def test_no_host_but_the_listed_one_passes(host):
    """Whatever is written for a host: it is the listed name, or the URL is refused."""
    limits = StoreLimits(hosts=("db.example.com",), folders=(Path("/nowhere-at-all"),))
    try:
        url = parse_url(f"qdrant://{host}#t")
        limits.check(url)
    except EngineError:
        return
    assert (url.host or "").lower().rstrip(".") == "db.example.com"
