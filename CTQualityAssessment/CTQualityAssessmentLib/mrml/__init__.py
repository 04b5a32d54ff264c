"""Scenes: volumes, assessments, overlays, tables and plots as MRML nodes; the library folder that imports slicer."""
