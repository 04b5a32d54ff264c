"""The embedded viewer: the work of the Slicer module in a browser tab, on this computer only."""
