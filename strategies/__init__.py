"""The line-up: one builder per strategy name, and the ServerApp that runs one of them."""
