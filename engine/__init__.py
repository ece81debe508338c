"""Dimshift's engine: find, prove and ship the fewest dimensions a vector search can keep.

Works from a notebook or a shell without the app. Import the room you need::

    from engine.embeddings import load
    from engine.tradeoff import sweep
"""

__version__ = "0.1.0"
