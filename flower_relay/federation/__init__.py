"""The server half on Flower: the strategy, a round's steps, and the run that they work on."""
