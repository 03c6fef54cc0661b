"""Workloads against a real control plane, measured from outside the operator.

``python -m bench w1`` starts a control plane of its own (``devcluster``), installs ``crds/`` and ``deploy/``, and runs
:mod:`bench.inside` in the cluster's network. That process starts the operator under its service account, drives the
workload (:mod:`bench.workloads`), watches what becomes of it (:mod:`bench.watch`), and counts what the operator did from
the API server's audit log (:mod:`bench.audit`) and from procfs (:mod:`bench.procfs`); nothing is taken from the operator's
own word. :mod:`bench.ceiling` makes the same writes without an operator, to know what the cluster could have done.
Nothing here imports the operator: any program that serves the same API can be measured.
"""
