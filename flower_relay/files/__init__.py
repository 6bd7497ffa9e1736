"""Files and their bytes: what is in them, and no more of it in memory than is needed."""
