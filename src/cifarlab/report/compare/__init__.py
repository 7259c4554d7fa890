"""Whether one configuration is better than another."""
