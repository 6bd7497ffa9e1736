"""The mechanism of the relay: pure functions over numpy arrays.

No input or output, no Flower, no torch. The live federation, the simulator and the
verifier call these same functions; whatever is random takes a
`numpy.random.Generator`, and whatever is money is counted in billionths of a coin.
"""
