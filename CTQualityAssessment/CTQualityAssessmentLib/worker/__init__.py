"""The separate process that runs networks for a window: warm between runs, cancellable, gone when its host is gone."""
