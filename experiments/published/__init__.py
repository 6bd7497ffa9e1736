"""Published tables beside our own results, met on their authors' terms."""
