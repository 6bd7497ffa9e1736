"""What the gate's parts are worth."""
