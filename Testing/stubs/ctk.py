"""The module ``ctk`` of 3D Slicer: nothing of it is used from Python."""
