"""The journey: where a migration stands from its data to the last byte, and what to do next."""

from engine.present.journey.looking import look
from engine.present.journey.results import Action, Alert, Figure, Journey, Step

__all__ = ["Action", "Alert", "Figure", "Journey", "Step", "look"]
