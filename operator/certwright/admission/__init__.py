"""What admission refuses beyond the schemas and the rules in the CRDs: for API servers without admission policies.

Pure functions from objects to sentences that begin with the field at fault; none: it may pass. They say what
``deploy/admission-validation.yaml`` says, and the end-to-end tests hold both against the same tables; what CEL can't do,
such as verifying the signature of a request, is checked besides.
"""
