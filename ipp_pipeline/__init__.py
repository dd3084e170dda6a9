"""ipp_pipeline: what feeds a dvo database; a simulated survey first."""
