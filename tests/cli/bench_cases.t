# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

# That fanout, latency, limit and soak measure and show; what they measure is for people to look at.
NEEDS root connector

NAME latency: a line for each listener and latency budget
RUN knell-bench latency --share-core -r 1 -p 10 --load idle,1k --json out.json && python3 -c 'import json; s = json.load(open("out.json"))["series"]; print(sorted({x["metric"] for x in s if x["part"] == "latency, 1000 exits/s"}))'
EXPECT ^latency, idle
EXPECT ^latency, 1000 exits/s
EXPECT ^ +p50 us +p90 us +p99 us +p99\.9 us +max us +CPU ns/event +exits/s +began late +lost$
EXPECT ^  naive client +\d
EXPECT ^  knell connector, budget 0 ms +\d
EXPECT ^  knell connector, budget 10 ms +\d
EXPECT ^\['cpu_ns_per_event', 'exits_per_second', 'late', 'lost', 'max_us', 'p50_us', 'p90_us', 'p999_us', 'p99_us'\]$

NAME latency: from the last resource given back to the handler
RUN knell-bench latency --share-core -r 1 --load release --hold 0,4M --victims 2
EXPECT ^release of a victim that holds 0 MiB
EXPECT ^release of a victim that holds 4 MiB
EXPECT ^  naive client +-?\d
EXPECT ^  a pidfd of its own +-?\d
EXPECT ^  knell connector +-?\d

NAME latency: an unknown load
RUN knell-bench latency --load fast
STATUS 2
REFUSE .
EXPECT_ERR \Aknell-bench: .*--load.*fast.*\n\Z

NAME latency: a victim of more memory than there is
RUN knell-bench latency --share-core --load release --hold 100T
STATUS 2
REFUSE .
EXPECT_ERR \Aknell-bench: --hold: a victim of 104857600 MiB is too much here; up to \d+ MiB\n\Z

NAME limit: a rate, and how many it could be away
RUN knell-bench limit --share-core -r 1 -p 500 --for 0.05 --stall 0.1
EXPECT ^the highest rate of exits without a loss$
EXPECT ^  naive client, the kernel's default +(>= )?\d
EXPECT ^not reading for 0.1 s$
EXPECT ^  knell connector, 256 MiB asked for +(>= )?\d

NAME limit: a buffer larger than the kernel can give
RUN knell-bench limit --large 4G
STATUS 2
REFUSE .
EXPECT_ERR \Aknell-bench: .*--large.*\n\Z

NAME fanout: every listener counts right
RUN knell-bench fanout --share-core -r 1 -p 100 --listeners 1,6
EXPECT ^1 listener$
EXPECT ^6 listeners$
EXPECT ^  connector, a naive client each +\d.* 0 +0$
EXPECT ^  knell connector, a knell_open each +\d.* 0 +0$
EXPECT ^absent: knell, through the daemon: 

NAME fanout: more listeners than it can count for
RUN knell-bench fanout --listeners 100000
STATUS 2
REFUSE .
EXPECT_ERR \Aknell-bench: .*--listeners.*\n\Z

NAME soak: nothing lost, memory stays
RUN knell-bench soak --share-core --via connector --millions 0.002 -p 500
EXPECT ^0\.00 million processes, 0 lost; RSS
EXPECT ^verdict: nothing lost, memory stays$
EXPECT_ERR \A( +\d+\.\d s +0\.\d{3} million  0 lost  RSS \d+\.\d MiB\n){4}\Z

NAME soak: memory above what is allowed
RUN knell-bench soak --share-core --via connector -r 1 -p 100 --most 1M
STATUS 1
EXPECT ^RSS is above 1 MiB$
EXPECT ^verdict: FAILED$

NAME soak: interrupted, the table so far
RUN timeout --preserve-status -s INT 3 knell-bench soak --share-core --via connector -p 100 --millions 1 --hours 1
STATUS 130
EXPECT ^  knell connector, every exit, full +0
EXPECT ^interrupted: a partial result
