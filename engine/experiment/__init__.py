"""Full dimension against reduced dimension on users: assignment, simulated traffic, logs, and how they are read."""
