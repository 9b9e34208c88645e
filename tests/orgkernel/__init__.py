"""A small client for OrgKernel's REST API, with the names and shapes of the Metaprise Python SDK reference."""
