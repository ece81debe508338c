"""Slides for a meeting: one message a screen, told with the figures and the numbers of the report."""

from __future__ import annotations

from engine.present.slides.building import slides_of
from engine.present.slides.slide import Slide

__all__ = ["Slide", "slides_of"]
