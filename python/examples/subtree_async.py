# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a command and prints what it executes: subtree_async.py CMD ARG..."""
import asyncio
import os
import sys

import knell


async def main():
    async with knell.watch("exec,exit", under=os.getpid()) as events:
        command = await asyncio.create_subprocess_exec(*sys.argv[1:])
        async for event in events:
            if event.type == "exec":
                print(event.pid, *event.cmdline or [event.name])
            elif event.pid == command.pid:
                break
        await command.wait()


asyncio.run(main())
