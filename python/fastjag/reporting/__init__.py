"""What leaves the program: files that are whole or not there, pictures, pages, progress."""
