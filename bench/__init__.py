"""Workloads against a real control plane, measured from outside the operator."""
