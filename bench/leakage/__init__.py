"""What one update gives away of the data it was made from: attacks, run by `bench/privacy.py`."""
