"""The demonstration: some forty platforms as real HTTP servers, with made-up catalogues and a few faults.

An independent implementation of the platforms' side: nothing of the hub's own rooms is used but words and hashes.
"""
