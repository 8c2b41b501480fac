"""Measurements: each script prints a table with ratios from one run."""
