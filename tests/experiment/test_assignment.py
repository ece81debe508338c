"""The assignment equals flagd's, grows monotonically, and is independent of other keys."""

import itertools
import json
import logging
import random

import cbor2
import mmh3
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from engine.errors import ParameterError
from engine.experiment.assignment import (
    assign,
    assign_variants,
    buckets,
    contingency,
    hash_of,
    hashes,
    treatment_weight,
    variant_of,
)

JOINED = {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}
# The lengths around which the CBOR header of a text changes its form, with a key of six bytes.
EDGES = [length + step for length in (18, 250, 65_530) for step in (-1, 0, 1)]
NAMES = ["ada", "bo", "cleo"]


def people(n, seed=0):
    """Return n different ids: plain, Unicode, emoji, very long, and the empty one."""
    rng = random.Random(seed)
    alphabets = ("abc0123456789-_@.", "äöüßéñçøå", "中文字漢字", "😀🚀🏳👩", "\x00\n\"'\\ ")
    odd = {"", *("x" * length for length in EDGES), *("é" * length for length in EDGES[:6]), "😀" * 5_000}
    while len(odd) < n // 2:
        odd.add("".join(rng.choice(rng.choice(alphabets)) for _ in range(rng.randrange(1, 40))))
    return sorted(odd) + [f"user-{i}" for i in range(n - len(odd))]


@pytest.fixture
def provider(tmp_path):
    """Return the real flagd provider in file mode, with a flag of the given targeting under the key `flag-1`."""
    started = []

    def start(targeting, *, default="off"):
        path = tmp_path / "flags.json"
        flag = {"state": "ENABLED", "variants": {"on": "on", "off": "off", "third": "third"}}
        path.write_text(json.dumps({"flags": {"flag-1": {**flag, "defaultVariant": default, "targeting": targeting}}}))
        served = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=60_000)
        served.initialize(EvaluationContext())
        started.append(served)
        return lambda user_id: served.resolve_string_details("flag-1", "none", EvaluationContext(user_id)).variant

    yield start
    for served in started:
        served.shutdown()


def test_20000_users_get_the_arm_that_the_real_flagd_provider_gives_them(provider):
    """Unicode, emoji, very long and empty ids: every one of 20,000 is assigned as the real provider does."""
    users = people(20_000)
    weight = treatment_weight(37.5)
    resolve = provider({"fractional": [JOINED, ["on", weight], ["off", 100_000 - weight]]})
    assigned = assign("flag-1", users, 37.5)
    assert "" in users
    assert [resolve(user) == "on" for user in users] == assigned.tolist()


def test_flag_files_that_name_no_hashed_value_are_assigned_as_the_real_provider_does(provider, caplog):
    """Without a hashed value flagd hashes the pair of key and id, and gives the default to the empty id: so do we."""
    caplog.set_level(logging.CRITICAL)
    resolve = provider({"fractional": [["on", 1], ["off", 2], ["third", 3]]}, default="third")
    users = people(1_000)
    assigned = assign_variants("flag-1", users, (1, 2, 3), form="pair")
    expected = [resolve(user) for user in users]
    assert [("on", "off", "third", "third")[variant] for variant in assigned] == expected
    assert assigned[users.index("")] == -1
    assert [variant_of("flag-1", user, (1, 2, 3), form="pair") for user in users] == assigned.tolist()


@settings(deadline=None)  # the first example compiles the kernel
@given(st.text(max_size=30), st.lists(st.text(max_size=300), max_size=20))
def test_hashes_are_murmur3_of_cbor(key, users):
    """The kernel's hash of every id equals that of mmh3 over cbor2's bytes, in both forms."""
    joined = [mmh3.hash(cbor2.dumps(key + user), signed=False) for user in users]
    pair = [mmh3.hash(cbor2.dumps([key, user], canonical=True), signed=False) for user in users]
    assert hashes(key, users).tolist() == joined
    assert hashes(key, users, form="pair").tolist() == pair
    assert [hash_of(key, user) for user in users] == joined
    assert [hash_of(key, user, form="pair") for user in users] == pair


@pytest.mark.parametrize("length", EDGES)
def test_text_headers_change_their_form_where_cbor_says(length):
    """Ids whose joined text is one byte around 24, 256 and 65,536 bytes long hash as with cbor2, non-ASCII included."""
    ids = ["x" * length, "é" * (length // 2) + "x" * (length % 2)]
    assert hashes("abcdef", ids).tolist() == [mmh3.hash(cbor2.dumps("abcdef" + i), signed=False) for i in ids]


def test_every_kind_of_array_is_assigned_alike():
    """Lists, tuples, NumPy and pyarrow arrays, slices, chunks and dictionaries of the same ids get the same arms."""
    users = [user for user in people(400) if not user.endswith("\x00")]  # NumPy's fixed-width texts drop trailing NULs
    expected = assign("k", users, 50).tolist()
    arrays = [
        tuple(users),
        np.array(users),
        np.array(users, dtype=object),
        np.array(users, dtype=np.dtypes.StringDType()),
        pa.array(users),
        pa.array(users, pa.large_string()),
        pa.array(["before", *users, "after"])[1:-1],
        pa.chunked_array([users[:100], users[100:]]),
        pa.array(users).dictionary_encode(),
    ]
    assert [assign("k", array, 50).tolist() for array in arrays] == [expected] * len(arrays)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_users_who_are_in_stay_in_as_the_percentage_grows(percents):
    """The users of a smaller percentage are a subset of those of a larger one; 0 has none and 100 all."""
    users = [f"user-{i}" for i in range(500)]
    inside = [assign("k", users, percent) for percent in (0, *sorted(percents), 100)]
    assert not inside[0].any()
    assert inside[-1].all()
    assert all((after | ~before).all() for before, after in itertools.pairwise(inside))


def test_the_share_assigned_is_the_percentage():
    """Of 200,000 users the share in the treatment lies within four standard errors of the percentage."""
    users = pa.array([f"user-{i}" for i in range(200_000)])
    for percent in (0.1, 5, 50, 90):
        share = percent / 100
        assert assign("k", users, percent).mean() == pytest.approx(
            share, abs=4 * (share * (1 - share) / 200_000) ** 0.5
        )


def test_two_keys_are_independent_and_one_shared_key_is_not():
    """A 5 % rollout puts 49-50 % of its users in an arm of another key, and all of them with the key of its own."""
    users = pa.array([f"user-{i}" for i in range(100_000)])
    apart = contingency(users, "rollout", 5, "experiment", 50)
    shared = contingency(users, "rollout", 5, "rollout", 50)
    assert 0.48 < apart.share_of_in < 0.52
    assert apart.p > 0.001
    assert shared.share_of_in == 1.0
    assert shared.p < 1e-100
    assert sum(map(sum, apart.counts)) == 100_000


def test_the_contingency_is_pearsons():
    """Counts and statistic agree with SciPy's uncorrected chi-square; without users in a row there is none."""
    from scipy.stats import chi2_contingency

    users = [f"user-{i}" for i in range(3_000)]
    table = contingency(users, "a", 30, "b", 60)
    expected = chi2_contingency(np.array(table.counts), correction=False)
    assert table.chi2 == pytest.approx(expected.statistic)
    assert table.p == pytest.approx(expected.pvalue)
    assert contingency(users, "a", 0, "b", 60).chi2 is None
    assert contingency([], "a", 30, "b", 60).share_of_in is None


@pytest.mark.parametrize(
    "ids",
    [
        ["a", None],
        ["a", float("nan")],
        ["a", 7],
        ["a", "\ud800"],
        [b"a"],
        [None],
        np.array([1, 2]),
        np.array(["a", None], dtype=object),
        np.array([b"a"]),
        pa.array([1]),
        pa.array(["a", None]),
        pa.array([None]),
    ],
)
def test_ids_that_are_no_texts_are_refused_with_their_row(ids):
    """A missing id, a number, bytes or a lone surrogate is refused, and the message names its row."""
    with pytest.raises(ParameterError, match=r"every user id must be a text; found .* in row [12]\."):
        assign("k", ids, 50)


@pytest.mark.parametrize("ids", ["ada", b"ada", 5, None])
def test_ids_that_are_no_list_are_refused(ids):
    """One text in place of a list would be read as its letters; it is refused."""
    with pytest.raises(ParameterError, match="must be a list or an array of texts"):
        assign("k", ids, 50)


@pytest.mark.parametrize("percent", [-0.001, 100.1, float("nan"), float("inf"), "50", True, None])
def test_percentages_outside_0_to_100_are_refused(percent):
    """Only numbers from 0 to 100 are percentages."""
    with pytest.raises(ParameterError, match="a percentage must be"):
        assign("k", NAMES, percent)


@pytest.mark.parametrize("weights", [(), (0, 0), (-1, 2), (0.5, 0.5), (True, 1), (1 << 31,)])
def test_weights_that_flagd_refuses_are_refused(weights):
    """Weights are whole, at least 0, and sum to 1 up to 2³¹ - 1."""
    with pytest.raises(ParameterError, match="weights must be"):
        assign_variants("k", NAMES, weights)
    with pytest.raises(ParameterError, match="weights must be"):
        variant_of("k", "ada", weights)


def test_keys_and_bucket_counts_are_checked():
    """A key without a UTF-8 form, a lone id without one, and a number of buckets out of range are refused."""
    for call in (lambda: hashes("\ud800", NAMES), lambda: hash_of("\ud800", "a"), lambda: hash_of("k", "\ud800")):
        with pytest.raises(ParameterError, match=r"\\ud800"):
            call()
    for n_buckets in (0, 1 << 31):
        with pytest.raises(ParameterError, match="number of buckets"):
            buckets("k", NAMES, n_buckets)
