"""`spert study`: the runs of a grid of settings, their table and their picture."""
