"""Addresses: what they mean, what they hide, what they refuse."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError, PathError, StoreError
from engine.migration.stores import StoreSecrets, open_store, parse_url, shown

SECRET = "s3cr/t@#?:%"  # noqa: S105  # what is looked for
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
PLAIN = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=30)


@given(user=NAMES, host=NAMES, database=NAMES, table=NAMES, port=st.one_of(st.none(), st.integers(0, 65535)))
def test_a_url_is_parsed_into_what_it_was_made_of(user, host, database, table, port):
    """Percent-encoded parts come back as they were, and what is shown names the same store."""
    parts = [quote(part, safe="") for part in (user, host, database, table)]
    place = f"{parts[1]}:{port}" if port is not None else parts[1]
    url = parse_url(f"postgresql://{parts[0]}@{place}/{parts[2]}#{parts[3]}")
    assert (url.user, url.host, url.port, url.database, url.table) == (user, host, port, database, table)
    assert parse_url(str(url)) == url


@given(
    password=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8).filter(lambda one: len(set(one)) > 5)
)
def test_a_password_is_never_shown(password):
    """Whatever is in a password, it opens the store and appears in no text about it."""
    url = f"postgresql://user:{quote(password, safe='')}@host/db#table"
    assert parse_url(url).password == password
    for text in (shown(url), str(parse_url(url)), repr(parse_url(url)), repr(StoreSecrets(password=password))):
        assert password not in text
        assert quote(password, safe="") not in text


@given(
    st.one_of(
        st.text(),
        st.sampled_from(["postgresql", "qdrant", "file", "lancedb"]).flatmap(
            lambda scheme: st.text().map(f"{scheme}://".__add__)
        ),
    )
)
def test_any_text_is_a_url_or_a_parameter_error(text):
    """No text raises anything else, and what is no URL is not repeated."""
    try:
        parse_url(text)
    except ParameterError:
        assert shown(text) == "(not a store's URL)"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/db#table",
        "postgresql://user:se/cr@et@host/db#table",
        "postgresql://user:se?cr=et@host/db#table",
        "postgres//user:secret@host/db#table",
        "postgresql://user:secret@host:port/db#table",
        "qdrant://user:secret@host#collection",
        "postgresql://user:secret@host/db?password=secret2#table",
        "mysql://user:secret@host/db#table",
        "lancedb+s3://secret:secret@bucket/folder#table",
        "lancedb+s3://se/cr@et@bucket/folder#table",
        "lancedb+s3://bucket/folder?key=s3cr#table",
    ],
)
def test_a_password_in_a_broken_url_is_not_repeated(url):
    """A sentence about a URL that cannot be parsed holds no part of its password."""
    with pytest.raises(ParameterError) as refused:
        parse_url(url)
    assert not any(part in str(refused.value) for part in ("secret", "s3cr", "se/cr", "cr@et", "cr=et"))
    assert "secret" not in shown(url)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "must begin with"),
        ("file://relative/x.npy", "absolute path"),
        ("file:///", "absolute path"),
        ("file:///x.npy#t", "without #"),
        ("lancedb:///folder", "must end with #"),
        ("lancedb:///folder#../up", "letters, digits"),
        ("lancedb://folder#t", "absolute path"),
        ("qdrant:///folder#.hidden", "letters, digits"),
        ("qdrant://host#a/b", "letters, digits"),
        ("qdrant://host/path#c", "no path"),
        ("lancedb+s3://bucket", "must end with #"),
        ("lancedb+s3:///folder#t", "the bucket's name"),
        ("lancedb+s3://Bucket/folder#t", "the bucket's name"),
        ("lancedb+s3://bucket:9000/folder#t", "the bucket's name"),
        ("lancedb+s3://bucket/a/../b#t", "the bucket's name"),
        ("lancedb+s3://bucket/a//b#t", "the bucket's name"),
        ("lancedb+s3://bucket/a?region=x#t", "options of a lancedb URL"),
        ("qdrant+s3://bucket/a#t", "must begin with"),
        ("postgresql://host#t", "must name a database"),
        ("postgresql://host/db", "must end with #"),
        ("postgresql://host/db?passfile=x#t", "options of a pgvector URL"),
        ("postgresql://host/db?id=a&id=b#t", "each once"),
        ("postgresql://[::1/db#t", "host and a port"),
        ("postgresql://host/db#a%00b", "control characters"),
        ("file:///" + "x" * 5000, "must begin with"),
    ],
)
def test_what_is_no_address_is_one_sentence(url, rule):
    """Every mistake is named, with an example of how to write it."""
    with pytest.raises(ParameterError, match=rule):
        parse_url(url)


def test_sockets_folders_and_columns_are_kept():
    """The folder of a socket keeps its capitals, IPv6 its brackets, and columns are options."""
    url = parse_url("postgresql://u@/db?host=%2FTmp%2FX&id=doc_id&vector=emb#s.t")
    assert (url.host, url.option("host"), url.option("id"), url.option("payload")) == (None, "/Tmp/X", "doc_id", None)
    assert parse_url("postgresql://%2FTmp%2FX/db#t").host == "/Tmp/X"
    assert parse_url("qdrant://[::1]:6333#c").host == "::1"
    assert str(parse_url("qdrant://[::1]:6333#c")) == "qdrant://[::1]:6333#c"
    assert parse_url("qdrant:///a b#c").path == Path("/a b")


def test_a_bucket_is_a_place_of_its_own():
    """A bucket is neither a folder nor a host, its folder may be deep or absent, and what is shown leads there."""
    url = parse_url("lancedb+s3://my-bucket/deep/fol%20der/?vector=emb#t")
    assert (str(url.bucket), url.path, url.host, url.option("vector")) == (
        "s3://my-bucket/deep/fol der",
        None,
        None,
        "emb",
    )
    assert str(url) == "lancedb+s3://my-bucket/deep/fol%20der?vector=emb#t"
    assert parse_url(str(url)) == url
    assert str(parse_url("LanceDB+S3://bucket#t").bucket) == "s3://bucket"


def test_secrets_come_from_the_environment_by_role():
    """The password of the source is not that of the target; a common one stands in for either."""
    environ = {"DIMSHIFT_SOURCE_PASSWORD": "one", "DIMSHIFT_STORE_PASSWORD": "both", "QDRANT_API_KEY": "key"}
    source = StoreSecrets.from_environment("source", environ=environ)
    target = StoreSecrets.from_environment("target", environ=environ)
    assert [source.password, target.password, target.api_key] == ["one", "both", "key"]
    assert StoreSecrets.from_environment(environ={"DIMSHIFT_STORE_PASSWORD": ""}).password is None


def test_stores_on_disk_stay_below_the_data_root(tmp_path):
    """A file or folder outside the data root is refused, symlinks followed."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    inside = open_store(f"lancedb://{tmp_path}/root/new#t", data_root=tmp_path / "root")
    assert not inside.exists()
    for path in (f"{tmp_path}/other", f"{tmp_path}/root/../other", f"{tmp_path}/root/link/other"):
        with pytest.raises(PathError, match="below the data root"):
            open_store(f"lancedb://{path}#t", data_root=tmp_path / "root")


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("postgresql://host/db#t", "psycopg", "pgvector"),
        ("lancedb:///folder#t", "lancedb", "lancedb"),
        ("qdrant:///folder#t", "qdrant_edge", "qdrant"),
        ("qdrant://host#t", "qdrant_client", "qdrant"),
    ],
)
def test_a_missing_driver_is_one_sentence(url, driver, extra, monkeypatch):
    """Without the extra that holds the driver, opening a store says what to install."""
    for name in [name for name in sys.modules if name.startswith("engine.migration.stores.") and name.count(".") == 3]:
        if not name.endswith((".urls", ".protocol", ".failures", ".payloads")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(StoreError, match=rf"pip install 'dimshift\[{extra}\]'"):
        open_store(url)


def test_addresses_load_no_driver():
    """Parsing addresses loads no database driver; opening a store loads its own."""
    code = (
        "import sys; from engine.migration.stores import parse_url; parse_url('lancedb:///a#t');"
        "drivers = ('psycopg', 'lancedb', 'qdrant_client', 'qdrant_edge', 'pyarrow');"
        "print([one for one in drivers if one in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
