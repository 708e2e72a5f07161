# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Waits for several processes at once, without threads: wait_async.py PID..."""
import asyncio
import sys

import knell


async def main():
    waits = [knell.wait(int(pid), timeout=60) for pid in sys.argv[1:]]
    for exit in await asyncio.gather(*waits):
        print(exit.pid, exit.ended)


asyncio.run(main())
