"""Pictures of jets, their tracks and their taggers."""
