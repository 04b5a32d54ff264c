"""The accuracy table: all methods, ablations and baselines on the same held-out patients."""
