"""What every other module stands on.

``checks``: arguments; ``arrays``: columns, offsets, masks; ``devices``: NumPy or CuPy; ``extras``:
libraries that commands need.
"""
