"""What one update gives away of the data it was made from: attacks, run by `privacy.py`."""
