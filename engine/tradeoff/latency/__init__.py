"""How long a single query takes on each serving path at each dimension."""
