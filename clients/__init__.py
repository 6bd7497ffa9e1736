"""ClientApps to relay with: models, data, honest and hostile behaviour."""
