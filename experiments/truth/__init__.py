"""Rewards against the truth: Shapley values, twins, and what hostile participants earn."""
