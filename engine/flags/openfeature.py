"""An OpenFeature provider on a flag store: ``api.set_provider(DimshiftProvider(FlagStore(workspace)))``.

Needs openfeature-sdk: ``pip install 'dimshift[openfeature]'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata

from engine.flags.model import Kind, fits
from engine.flags.telemetry import PROVIDER_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagValueType

    from engine.flags.evaluation import Evaluation
    from engine.flags.store import FlagStore

    ObjectValue = Sequence[FlagValueType] | Mapping[str, FlagValueType]

T = TypeVar("T")


class DimshiftProvider(AbstractProvider):
    """Resolve flags from `store`, at most its `refresh_s` old.

    On an error, for a disabled flag, and for one without a default variant the caller's default is returned, with the
    reason and error code that say so. Nothing is raised. Metadata carry the flag's version, the flag set (the id of
    the workspace), and whether the kill switch is on.
    """

    def __init__(self, store: FlagStore) -> None:
        super().__init__()
        self._store = store

    def get_metadata(self) -> Metadata:
        """Return the name of the provider."""
        return Metadata(name=PROVIDER_NAME)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Resolve a boolean flag."""
        return self._resolve("boolean", flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Resolve a string flag."""
        return self._resolve("string", flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Resolve an integer flag."""
        return self._resolve("integer", flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Resolve a float flag, or an integer one as a float."""
        details = self._resolve("float", flag_key, default_value, evaluation_context)
        if isinstance(details.value, int):
            details.value = float(details.value)
        return details

    def resolve_object_details(
        self, flag_key: str, default_value: ObjectValue, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[ObjectValue]:
        """Resolve an object flag."""
        return self._resolve("object", flag_key, default_value, evaluation_context)

    def _resolve(self, kind: Kind, key: str, default: T, context: EvaluationContext | None) -> FlagResolutionDetails[T]:
        user_id = None if context is None else context.targeting_key
        attributes: Any = None if context is None else context.attributes
        found = self._store.evaluate(key, user_id, attributes=attributes)
        metadata = self._metadata(found)
        if found.variant is None:
            return FlagResolutionDetails(
                value=default,
                reason=Reason(found.reason),
                error_code=None if found.error_code is None else ErrorCode(found.error_code),
                error_message=found.error_message,
                flag_metadata=metadata,
            )
        value: Any = found.value
        if not fits(kind, value):
            return FlagResolutionDetails(
                value=default,
                reason=Reason.ERROR,
                error_code=ErrorCode.TYPE_MISMATCH,
                error_message=f"flag {key} was asked for as {kind}, its variant {found.variant} is none",
                flag_metadata=metadata,
            )
        return FlagResolutionDetails(
            value=value, variant=found.variant, reason=Reason(found.reason), flag_metadata=metadata
        )

    def _metadata(self, found: Evaluation) -> dict[str, bool | int | float | str]:
        metadata: dict[str, bool | int | float | str] = {"flagSetId": self._store.flag_set}
        if found.version:
            metadata["version"] = str(found.version)
        if found.is_killed:
            metadata["isKilled"] = True
        return metadata
