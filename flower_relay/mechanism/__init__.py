"""A round as decisions and blocks, and the fold that they make.

Each phase is two functions. One decides: (state, what was observed, randomness) to the body of
a block. One applies: (state, block) to the state after it (`apply`, the only writer). Nothing
here reads a clock, a network or a file, so that the live federation, resume, the verifier and
the imagined economy decide alike.
"""
