"""Exact and near duplicates: signatures, candidates, true comparison."""
