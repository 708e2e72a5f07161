# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
import json
import sys

import knell

with knell.watch("exit", via="pidfd") as events:
    events.add(int(sys.argv[1]))
    print("ready", flush=True)
    print(json.dumps(next(events).as_dict(), separators=(",", ":"), ensure_ascii=False))
