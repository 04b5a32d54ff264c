"""Training sets: sources, simulated degradations, labels, readers, folds, augmentation."""
