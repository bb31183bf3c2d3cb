"""A real kube-apiserver with etcd for tests and local trials."""
