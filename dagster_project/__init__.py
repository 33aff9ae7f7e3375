"""The pipeline: exports in, guarded NRR and SFRR out."""
