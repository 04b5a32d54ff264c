"""CTQualityAssessment: how good is a CT, where did the network look, what would a denoiser change.

Importing this package needs the standard library and numpy only; torch, monai, pydicom, matplotlib, vtk and slicer are
imported by the parts that use them, when they use them.
"""

__version__ = "0.1.0"
