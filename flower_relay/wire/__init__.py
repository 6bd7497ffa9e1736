"""What messages hold: each kind is written and read in one file."""
