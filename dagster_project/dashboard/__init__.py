"""The dashboard: pages over a publication, which it only ever reads."""
