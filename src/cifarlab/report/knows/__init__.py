"""What a trained net knows, a page for each question: ``scripts/knows.py``."""
