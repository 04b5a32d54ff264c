"""Denoising of a volume, what it changes, and whether lesions survive it."""
