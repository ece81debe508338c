"""Evaluations as OpenTelemetry events.

The names are those of the semantic conventions for feature flags, event ``feature_flag.evaluation``
(opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.flags.evaluation import Evaluation
    from engine.workspace import JsonValue

EVENT_NAME = "feature_flag.evaluation"
PROVIDER_NAME = "dimshift"


def evaluation_event(
    evaluation: Evaluation,
    *,
    user_id: str | None = None,
    flag_set: str | None = None,
    provider: str = PROVIDER_NAME,
) -> dict[str, JsonValue]:
    """Return the attributes of the event that says what a user got, for a logger of the caller's choice.

    `flag_set` is the workspace's id. The value stands in only where no variant names it, as the conventions advise: it
    may be large. `user_id` is personal data; leave it out where it must not be logged.
    """
    attributes: dict[str, JsonValue] = {
        "event.name": EVENT_NAME,
        "feature_flag.key": evaluation.flag_key,
        "feature_flag.provider.name": provider,
        "feature_flag.result.reason": evaluation.reason.lower(),
    }
    if evaluation.variant is not None:
        attributes["feature_flag.result.variant"] = evaluation.variant
    elif evaluation.value is not None:
        attributes["feature_flag.result.value"] = evaluation.value
    if evaluation.version:
        attributes["feature_flag.version"] = str(evaluation.version)
    if user_id is not None:
        attributes["feature_flag.context.id"] = user_id
    if flag_set is not None:
        attributes["feature_flag.set.id"] = flag_set
    if evaluation.error_code is not None:
        attributes["error.type"] = evaluation.error_code.lower()
    if evaluation.error_message is not None:
        attributes["feature_flag.error.message"] = evaluation.error_message
    return attributes
