"""The physics of a CT acquisition: projections, counts, reconstruction, and what its noise should be."""
