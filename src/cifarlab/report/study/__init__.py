"""A study as tables, verdicts, figures and pages."""
