"""Exchange: a snapshot written for other tools, their tables read, coverage.

What goes out is an `extract.Extract`, read some regions at a time, so that memory stays
bounded; what is written appears under its name only when it is whole. What comes in goes
the way of addstar.
"""
