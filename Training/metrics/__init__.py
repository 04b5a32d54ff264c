"""Agreement of scores with labels, and fidelity of images to a reference."""
