"""A sweep as tables and figures."""
