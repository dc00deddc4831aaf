"""How demo assets become what users have: other programs' weight files as safetensors, digits as images. Standard library only.

Nothing is computed on the way: tensors keep the bits and the dtype that they were published with, so each file is the same on every machine.
"""
