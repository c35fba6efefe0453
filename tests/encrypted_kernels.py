"""A pytest plugin (`-p tests.encrypted_kernels`): nbval's kernels tell nobody else what the cells say."""

import nbval.kernel
from jupyter_client.manager import KernelManager
from traitlets import default


class EncryptedKernelManager(KernelManager):
    """A kernel manager that encrypts the kernel's ports, or does not start it."""

    @default("transport_encryption")
    def _required(self) -> str:
        return "required"


nbval.kernel.KernelManager = EncryptedKernelManager
