"""What every other module stands on.

``checks``: arguments; ``arrays``: columns, offsets, masks; ``devices``: NumPy or CuPy; ``settings``:
configurations; ``extras``: libraries that commands need; ``moved``: names of modules in 0.1.0.
"""
