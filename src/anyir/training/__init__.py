"""From a recipe and pictures to weights: recipe, loop, exact resume, validation."""
