"""Training pictures, degradations, and the mixture of tasks: from folders to batches."""
