"""Pictures of trigger rates."""
