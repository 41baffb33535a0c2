"""Region models: training on areas of tissue that people painted."""
