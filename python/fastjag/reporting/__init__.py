"""What leaves the program.

``output``: files that are whole or not there; ``locks``: one process at a time in a folder; ``plots``:
pictures; ``report``: pages; ``progress``: bars.
"""
