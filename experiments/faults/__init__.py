"""Faults made on purpose: runs killed, ledgers tampered with, fleets sabotaged."""
