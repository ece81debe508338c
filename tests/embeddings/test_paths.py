"""Paths that users name stay below the root."""

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings import resolve_below
from engine.errors import PathError


@pytest.fixture
def root(tmp_path):
    """Make a root with a file, a folder and a secret beside it."""
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "vectors.npy").write_bytes(b"x")
    (root / "folder" / "inner.npy").write_bytes(b"x")
    (tmp_path / "secret.npy").write_bytes(b"x")
    return root


@pytest.mark.parametrize("relative", ["vectors.npy", "folder", "folder/inner.npy", "folder/../vectors.npy", "."])
def test_what_lies_below_the_root_is_resolved(root, relative):
    """A file or folder below the root becomes its real path, also through a step up that stays inside."""
    assert resolve_below(root, relative) == (root / relative).resolve()


def test_an_absolute_path_below_the_root_is_accepted(root):
    """An absolute path is judged by where it leads."""
    assert resolve_below(root, root / "vectors.npy") == (root / "vectors.npy").resolve()


@pytest.mark.parametrize(
    "relative", ["../secret.npy", "folder/../../secret.npy", "/etc/passwd", "../nothing-there", ".."]
)
def test_what_lies_outside_is_refused_whether_it_exists_or_not(root, relative):
    """Leaving the root is one and the same error for what exists and what does not."""
    with pytest.raises(PathError, match="a path must stay below the data root"):
        resolve_below(root, relative)


def test_a_root_whose_name_is_a_prefix_of_another_does_not_open_it(root):
    """A sibling folder whose name begins with the root's name is outside."""
    (root.parent / "root-private").mkdir()
    with pytest.raises(PathError, match="below the data root"):
        resolve_below(root, "../root-private")


def test_a_symlink_out_of_the_root_is_refused(root):
    """A symlink to a file or folder outside is followed and refused."""
    (root / "link.npy").symlink_to(root.parent / "secret.npy")
    (root / "up").symlink_to(root.parent)
    for relative in ("link.npy", "up/secret.npy"):
        with pytest.raises(PathError, match="below the data root"):
            resolve_below(root, relative)


def test_a_symlink_within_the_root_is_followed(root):
    """A symlink that stays below the root leads to its target."""
    (root / "link.npy").symlink_to(root / "folder" / "inner.npy")
    assert resolve_below(root, "link.npy") == (root / "folder" / "inner.npy").resolve()


def test_a_root_that_is_itself_a_symlink_works(root, tmp_path):
    """The root may be reached through a symlink."""
    (tmp_path / "alias").symlink_to(root)
    assert resolve_below(tmp_path / "alias", "vectors.npy") == (root / "vectors.npy").resolve()


@pytest.mark.parametrize("relative", ["nothing", "vectors.npy/inner", "a\0b", "x" * 5000])
def test_what_is_not_there_is_refused(root, relative):
    """A missing file, a file taken for a folder, NUL characters and endless names are path errors."""
    with pytest.raises(PathError):
        resolve_below(root, relative)


def test_a_loop_of_symlinks_is_refused(root):
    """Symlinks that point at each other are a path error."""
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    with pytest.raises(PathError):
        resolve_below(root, "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_named_pipe_is_refused(root):
    """Something that is neither a plain file nor a folder is refused before anybody waits for it."""
    os.mkfifo(root / "pipe")
    with pytest.raises(PathError, match="plain file or a folder"):
        resolve_below(root, "pipe")


@given(st.text(max_size=40))
def test_any_text_leads_below_the_root_or_to_a_path_error(tmp_path_factory, relative):
    """Whatever text is given, the answer lies below the root or is a PathError."""
    root = tmp_path_factory.getbasetemp()
    with contextlib.suppress(PathError):
        assert resolve_below(root, relative).is_relative_to(root.resolve())
