"""Everything on one machine: servers from wheels and our own processes, as foreground children of one supervisor."""
