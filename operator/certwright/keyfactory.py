"""Private keys, made without holding up the event loop.

RSA key generation takes tens to hundreds of milliseconds and releases the GIL, so it runs in a few threads; elliptic
curve keys take microseconds and are made in place, because handing them to a thread costs more than making them.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from certwright_issuers.keys import KeySpec, PrivateKey, generate_key


class KeyFactory:
    """Makes keys; ``threads`` RSA keys at a time, the rest wait in order."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rsa")

    async def generate(self, spec: KeySpec) -> PrivateKey:
        """A new key. Raises InvalidKeySpec."""
        if spec.algorithm != "RSA":
            return generate_key(spec)
        return await asyncio.get_running_loop().run_in_executor(self._pool, generate_key, spec)

    def close(self) -> None:
        """Let the threads end; keys still being made are thrown away."""
        self._pool.shutdown(wait=False, cancel_futures=True)
