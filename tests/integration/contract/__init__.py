"""What the collector relies on in an API server, tried on the real one and on the simulated one alike.

A difference between the two is a defect of `demo.apiserver`: the real server is the reference.
"""
