"""Configuration: the values (``model``), where they come from (``load``), their schema."""
