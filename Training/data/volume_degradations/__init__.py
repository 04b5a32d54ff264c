"""Graded degradations of whole volumes, one file a kind.

CT: :mod:`motion`, :mod:`dose_noise`, :mod:`views` and :mod:`kernel` act on the readings of a :class:`ct_scan.CTScan`,
:mod:`thickness` on the reconstructed slices. MR: :mod:`bias_field`, :mod:`ghosting`, :mod:`undersampling` and
:mod:`rician_noise` act on magnitude slices, through k-space where the physics is there. :mod:`labels` says what score
a degraded volume gets.
"""
