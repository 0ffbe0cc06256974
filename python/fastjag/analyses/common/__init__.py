"""What all analyses share: settings, stages, tables, processes."""
