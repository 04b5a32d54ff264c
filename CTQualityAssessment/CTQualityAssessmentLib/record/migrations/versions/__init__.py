"""Every change of the tables since the first, in the order of their numbers."""
