"""Reproducible data, training and evaluation of the networks; needs the extra "training"."""
