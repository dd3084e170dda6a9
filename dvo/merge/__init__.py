"""dvomerge: objects, measures and images of other databases become part of one.

The way of the data: :mod:`images` says which images of the source are to come and under
which numbers, :mod:`photcodes` translates photcodes and filters, :mod:`source` reads the
source region by region in batches, :mod:`pairs` finds the object of ours that each object
of the source is, :mod:`rows` writes a batch, and :mod:`merge` commits batch after batch.
What has been done is in the log of the database (:mod:`progress`).
"""
