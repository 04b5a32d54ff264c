"""Losses for ordered quality grades."""
