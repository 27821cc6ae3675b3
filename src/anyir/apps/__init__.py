"""The applications: they translate between people and the rooms below, and decide nothing."""
