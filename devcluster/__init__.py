"""A real Kubernetes control plane made of ordinary processes, for the demo, the tests and the benchmarks.

``binaries`` finds or builds the programs, ``netns`` gives each cluster a network of its own, ``certs`` makes its keys,
``controlplane`` knows the flags, ``cluster`` starts and stops it all, ``__main__`` is for people.
"""

from devcluster.cluster import Cluster

__all__ = ["Cluster"]
