"""What a hop costs: time, memory, bytes."""
