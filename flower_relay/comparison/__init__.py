"""Comparisons: strategies × data × partitions × attacks × seeds, to one budget each.

The line-up, its clients and its data are an app's, not this library's: a cell is played by
a function that is named `module:function`. Here is what is asked (`plan`), what playing
costs on simulated fleets (`fleet`), playing many cells (`playing`), tuning (`tuning`), what
is measured (`figures`), over seeds (`statistics`), and the tables (`tables`).
"""
