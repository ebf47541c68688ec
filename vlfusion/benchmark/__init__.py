"""Comparing methods: which differences are real, and tables that say so."""
