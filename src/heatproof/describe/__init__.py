"""What made the results: provenance, BIDS descriptions and an RO-Crate, all read from what the jobs wrote."""
