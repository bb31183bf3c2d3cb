"""A simulated fleet of Kubernetes clusters: the protocol in `apiserver`, the life of three clusters in `story`."""
