"""What a flag is: its typed variants, who gets which, and the variant that is always safe."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import FlagError, printable
from engine.experiment.assignment import WEIGHTS_PER_PERCENT, HashedForm, treatment_weight

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.workspace import JsonValue

Kind = Literal["boolean", "integer", "float", "string", "object"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LARGEST_WEIGHT_SUM = (1 << 31) - 1
"""Of the weights of a split; flagd's own limit."""

LARGEST_INTEGER = (1 << 53) - 1
"""Beyond it clients that hold numbers as doubles would get another one; flagd's schema has the same limit."""

_MOST_VARIANTS = 100
_LONGEST_NAME = 200
_LONGEST_DESCRIPTION = 2000
_LARGEST_JSON = 1 << 16
_HUNDRED_PERCENT = 100 * WEIGHTS_PER_PERCENT
_FIELDS = (
    "kind",
    "default_variant",
    "safe_variant",
    "owner",
    "description",
    "is_enabled",
    "driven_by",
    "variants",
    "rules",
    "metadata",
    "extra",
)


@dataclass(frozen=True, kw_only=True)
class Share:
    """A variant and its whole-number weight within a split."""

    variant: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which part of the users gets which variant, by the hash of `engine.experiment.assignment`.

    The growing variant comes first, so that a user once in stays in as it grows. `hash_key` is what users are bucketed
    by, None for the key of the flag itself; `form` how it is joined with the user's id.
    """

    shares: tuple[Share, ...]
    hash_key: str | None = None
    form: HashedForm = "joined"

    @property
    def total(self) -> int:
        """The sum of the weights."""
        return sum(share.weight for share in self.shares)

    @property
    def percent(self) -> float:
        """The share of the users in the first variant, in percent."""
        return 100 * self.shares[0].weight / self.total


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag; checked when made.

    Every user gets `default_variant` (None: whatever the caller passes), or what `split` says, or what `rules` say:
    flagd targeting beyond percentages, kept as it was imported. While the kill switch is on everybody gets
    `safe_variant`. `driven_by` is the key of the rollout that moves the split. `metadata` and `extra` are parts of an
    imported flag that mean nothing here. `version` is the stored one, 0 for a flag that is not stored.

    Raises
    ------
    FlagError
        When a value is not of the flag's kind, or a variant is named that it does not have.
    """

    key: str
    kind: Kind
    variants: Mapping[str, JsonValue]
    default_variant: str | None
    safe_variant: str
    split: Split | None = None
    rules: Mapping[str, JsonValue] | None = None
    owner: str = ""
    description: str = ""
    is_enabled: bool = True
    driven_by: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    version: int = field(default=0, compare=False)
    updated_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _check_name("the key of a flag", self.key)
        if self.kind not in KINDS:
            raise FlagError(f"the kind of a flag is one of {', '.join(KINDS)}", found=self.kind)
        _check_variants(self)
        if self.split is not None:
            _check_split(self, self.split)
        _check_other_fields(self)

    @property
    def safe_value(self) -> JsonValue:
        """What everybody gets while the kill switch is on."""
        return self.variants[self.safe_variant]

    @property
    def percent(self) -> float | None:
        """The share of the users in the split's growing variant, in percent; None without a split."""
        return None if self.split is None else self.split.percent

    @property
    def treatment(self) -> str | None:
        """The split's growing variant; None without a split."""
        return None if self.split is None else self.split.shares[0].variant

    def with_percent(self, percent: float, *, variant: str | None = None, hash_key: str | None = None) -> Flag:
        """Return the flag with `percent` (0..100, steps of 0.001) of the users in `variant`, the others in its rest.

        `variant` is the split's growing variant by default, or the only one that is not safe. The rest get the
        default variant, or the safe one where that is what grows. `hash_key` is that of the present split by default.

        Raises
        ------
        FlagError
            When the flag has no such variant, or several could be meant.
        ParameterError
            When the percentage is outside 0..100.
        """
        weight = treatment_weight(percent)
        growing = self._growing_variant(variant)
        rest = self.default_variant if self.default_variant not in {None, growing} else self.safe_variant
        if rest is None or rest == growing:
            raise FlagError(
                f"a percentage of flag {self.key} needs a second variant for the others",
                found=f"{growing} is its default and its safe variant",
                hint="Choose another safe variant first",
            )
        shares = (Share(variant=growing, weight=weight), Share(variant=rest, weight=_HUNDRED_PERCENT - weight))
        present = None if self.split is None else self.split.hash_key
        return replace(self, split=Split(shares=shares, hash_key=hash_key or present), rules=None)

    def _growing_variant(self, variant: str | None) -> str:
        if variant is not None:
            _check_known(self, variant, "the variant that grows")
            return variant
        if self.treatment is not None:
            return self.treatment
        unsafe = [name for name in self.variants if name != self.safe_variant]
        if len(unsafe) != 1:
            raise FlagError(
                f"flag {self.key} needs the name of the variant that grows",
                found=f"variants {', '.join(self.variants)}",
                hint="Name one of them",
            )
        return unsafe[0]


def flag_json(flag: Flag) -> dict[str, JsonValue]:
    """Return `flag` as the plain JSON of its record; its key and version are the record's own."""
    document: dict[str, JsonValue] = {name: getattr(flag, name) for name in _FIELDS}
    split = flag.split
    return document | {
        "split": None
        if split is None
        else {
            "shares": [[share.variant, share.weight] for share in split.shares],
            "hash_key": split.hash_key,
            "form": split.form,
        }
    }


def flag_of(key: str, document: Mapping[str, Any], *, version: int = 0, updated_at: datetime | None = None) -> Flag:
    """Return the flag that `flag_json` made `document` of. Raises FlagError for another document."""
    try:
        split = document["split"]
        return Flag(
            key=key,
            **{name: document[name] for name in _FIELDS},
            split=None if split is None else split_of(split["shares"], hash_key=split["hash_key"], form=split["form"]),
            version=version,
            updated_at=updated_at,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise FlagError(
            f"stored flag {printable(key)} must be of a form this version knows",
            found=error,
            hint="Open the workspace with the version that wrote it",
        ) from error


def split_of(shares: Any, *, hash_key: str | None, form: HashedForm) -> Split:
    """Return the split of ``[variant, weight]`` pairs."""
    return Split(
        shares=tuple(Share(variant=variant, weight=weight) for variant, weight in shares), hash_key=hash_key, form=form
    )


def kind_of(value: object) -> Kind | None:
    """Return the kind of flag that `value` is a variant of, None for null."""
    if isinstance(value, bool):
        return "boolean"
    kinds: dict[type, Kind] = {int: "integer", float: "float", str: "string", dict: "object", list: "object"}
    return kinds.get(type(value))


def fits(kind: Kind, value: object) -> bool:
    """Tell whether `value` may be a variant of a flag of `kind`; a whole number may be one of a float flag."""
    own = kind_of(value)
    return own == kind or (kind == "float" and own == "integer")


def _check_variants(flag: Flag) -> None:
    if not 1 <= len(flag.variants) <= _MOST_VARIANTS:
        raise FlagError(f"flag {flag.key} needs 1 to {_MOST_VARIANTS} variants", found=len(flag.variants))
    for name, value in flag.variants.items():
        _check_name(f"a variant of flag {flag.key}", name)
        if not fits(flag.kind, value):
            shown = f"{name} = {json.dumps(value, default=repr)}"
            raise FlagError(
                f"every variant of the {flag.kind} flag {flag.key} must be of that kind",
                found=shown,
                hint="Change the value, or make a flag of another kind",
            )
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise FlagError(f"a variant of flag {flag.key} must lie within ±{LARGEST_INTEGER:,}", found=value)
        if isinstance(value, float) and not math.isfinite(value):
            raise FlagError(f"a variant of flag {flag.key} must be a finite number", found=value)
        _check_json(f"variant {name} of flag {flag.key}", value)
    if flag.default_variant is not None:
        _check_known(flag, flag.default_variant, "the default variant")
    _check_known(flag, flag.safe_variant, "the safe variant")


def _check_split(flag: Flag, split: Split) -> None:
    if flag.rules is not None:
        raise FlagError(f"flag {flag.key} has either a percentage or rules", found="both")
    for share in split.shares:
        _check_known(flag, share.variant, "a variant of the percentage")
        if isinstance(share.weight, bool) or not isinstance(share.weight, int) or share.weight < 0:
            raise FlagError(f"a weight of flag {flag.key} must be a whole number of at least 0", found=share.weight)
    if not 1 <= split.total <= LARGEST_WEIGHT_SUM:
        raise FlagError(f"the weights of flag {flag.key} must sum to 1..{LARGEST_WEIGHT_SUM:,}", found=split.total)
    if split.form not in get_args(HashedForm):
        raise FlagError(f"the hash of flag {flag.key} is joined or pair", found=split.form)
    if split.hash_key is not None:
        _check_name(f"the hash key of flag {flag.key}", split.hash_key)
        if split.form == "pair":
            raise FlagError(f"a pair is hashed under the key of flag {flag.key} itself", found=split.hash_key)


def _check_other_fields(flag: Flag) -> None:
    for name, text, longest in (
        ("owner", flag.owner, _LONGEST_NAME),
        ("description", flag.description, _LONGEST_DESCRIPTION),
    ):
        if not isinstance(text, str) or printable(text, longest=longest) != text:
            raise FlagError(f"the {name} of flag {flag.key} is one line of at most {longest:,} characters", found=text)
    if not isinstance(flag.is_enabled, bool):
        raise FlagError(f"flag {flag.key} is enabled or not", found=flag.is_enabled)
    if flag.driven_by is not None:
        _check_name(f"the rollout that drives flag {flag.key}", flag.driven_by)
    for what, value in (
        ("rules", {} if flag.rules is None else flag.rules),
        ("metadata", flag.metadata),
        ("other parts", flag.extra),
    ):
        if not isinstance(value, dict):
            raise FlagError(f"the {what} of flag {flag.key} must be a JSON object", found=type(value).__name__)
        _check_json(f"the {what} of flag {flag.key}", value)


def _check_known(flag: Flag, variant: object, what: str) -> None:
    if not isinstance(variant, str) or variant not in flag.variants:
        raise FlagError(
            f"{what} of flag {flag.key} must be one of its variants",
            found=variant,
            hint=f"It has {', '.join(flag.variants)}",
        )


def _check_name(what: str, name: object) -> None:
    try:
        is_valid = isinstance(name, str) and bool(name.encode()) and printable(name, longest=_LONGEST_NAME) == name
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise FlagError(
            f"{what} must be 1 to {_LONGEST_NAME} printable characters without spaces around", found=ascii(name)
        )


def _check_json(what: str, value: object) -> None:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FlagError(f"{what} must be plain JSON", found=error) from error
    if len(text) > _LARGEST_JSON:
        raise FlagError(f"{what} may take {_LARGEST_JSON:,} characters of JSON", found=f"{len(text):,}")


def closest_hint(key: str, known: list[str]) -> str:
    """Return a hint that names the flags most like `key`."""
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=3) or sorted(known)[:5]
    return f"There is {', '.join(near)}" if near else "Create it first"
