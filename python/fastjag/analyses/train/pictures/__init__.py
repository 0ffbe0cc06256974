"""Pictures of a tagger."""
