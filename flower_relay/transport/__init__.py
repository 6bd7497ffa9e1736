"""How messages travel: Flower's grids, wrapped; deadlines; a grid in memory; Flower's adapter."""
