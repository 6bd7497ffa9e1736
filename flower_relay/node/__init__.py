"""The client half: the mod that a ClientApp may have, and what it keeps on its node."""
