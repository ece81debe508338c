"""Full dimension against reduced dimension on users: assignment, simulated traffic, logs, and how they are read.

Assignment is here, as flags need it too and it loads quickly; the rest by its module::

    from engine.experiment.analysis import analyze
    from engine.experiment.logs import read_log
    from engine.experiment.traffic import simulate
"""

from engine.experiment.assignment import assign, assign_variants, buckets, contingency, variant_of

__all__ = ["assign", "assign_variants", "buckets", "contingency", "variant_of"]
