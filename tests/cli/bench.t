# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Checks that knell-bench measures and reports; the times are not checked.

NAME a missing case
RUN knell-bench
STATUS 2
EXPECT_ERR \Aknell-bench: missing case: table, storm, fanout, latency, soak, kill; see [^\n]*\n\Z
REFUSE .

NAME an unknown case is refused with the nearest right one
RUN knell-bench strom
STATUS 2
EXPECT_ERR \Aknell-bench: unknown case 'strom'; did you mean storm\?\n\Z
REFUSE .

NAME an unknown option is refused with the nearest right one
RUN knell-bench table --lateny 1
STATUS 2
EXPECT_ERR \Aknell-bench: unknown option '--lateny'; did you mean --latency\?\n\Z

NAME an option of another case is refused
RUN knell-bench table --kind vfork
STATUS 2
EXPECT_ERR \Aknell-bench: unknown option '--kind'; there are [^\n]*--latency\n\Z

NAME unknown values in a list
RUN knell-bench storm --kind vfork,hail; knell-bench storm --rival forkstta; knell-bench latency --load fast; knell-bench soak --via ptrace
STATUS 2
EXPECT_ERR \Aknell-bench: unknown --kind 'hail'; there are vfork, fork, exec\n
EXPECT_ERR ^knell-bench: unknown --rival 'forkstta'; did you mean forkstat\?\n
EXPECT_ERR ^knell-bench: unknown --load 'fast'; there are idle, 1k, 50k\n
EXPECT_ERR ^knell-bench: unknown --via 'ptrace'; there are bpf, connector\n\Z
REFUSE .

NAME numbers out of their bounds
RUN knell-bench table -r 0; knell-bench table -p 1x; knell-bench fanout --listeners 1,100000
STATUS 2
EXPECT_ERR \Aknell-bench: --rounds 0: not a number from 1 to \d+\n
EXPECT_ERR ^knell-bench: --processes 1x: not a number from 1 to 1000000\n
EXPECT_ERR ^knell-bench: --listeners 100000: not a number from 1 to 1000\n\Z
REFUSE .

NAME an option without its value
RUN knell-bench table --rounds
STATUS 2
EXPECT_ERR \Aknell-bench: --rounds needs a value\n\Z

NAME a program that does not exist
RUN knell-bench storm --knell nosuch
STATUS 2
EXPECT_ERR \Aknell-bench: no such program: nosuch\n\Z

NAME on one core the report says that the ratios are meaningless
NEEDS root connector
NEEDS tool:taskset
RUN taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" knell-bench soak -r 1 -p 20 --via connector
EXPECT storm on core (\d+), listeners on \1, 1 rounds of 20$
EXPECT ^storm and listeners shared one core: the ratios are meaningless$

NAME without root: an error that recommends sudo
NEEDS root
NEEDS tool:setpriv
RUN setpriv --reuid 65534 --regid 65534 --clear-groups knell-bench table
STATUS 3
EXPECT_ERR \Aknell-bench: only root [^\n]*sudo knell-bench\n\Z
REFUSE .

NAME help has every case with its options
RUN knell-bench --help
EXPECT ^  knell-bench table +\w
EXPECT ^  knell-bench soak +\w
EXPECT ^  --rounds N +
EXPECT ^  --listeners N,... +fanout: 
EXPECT ^Exit status:

NAME table: the five rows and all columns
NEEDS root connector
RUN knell-bench table -r 1 -p 50
EXPECT \Aknell-bench \d[^\n]* 1 rounds of 50$
EXPECT ^ +null +naive client +naive client, filtered +knell connector
EXPECT ^  50 exits +\d+ / - +\d+ / \d
EXPECT ^  50 exits \+ forks +\d+ / - +\d+ / \d
EXPECT ^  50 exits \+ forks \+ execs +\d+ / - +\d+ / \d
EXPECT ^  50 non-zero exits, 1 in 10 +\d+ / - +\d+ / \d
EXPECT ^  50 exits by pidfd +- / - +\d+ / \d
EXPECT ^  knell connector +\d+\.\d \[\d+\.\d, \d+\.\d\]\* .* 0 
EXPECT ^\* the whole range: fewer than 6 rounds
REFUSE_ERR .

NAME table: the columns of bpf
NEEDS root connector bpf
RUN knell-bench table -r 1 -p 50
EXPECT knell bpf +knell bpf, full
EXPECT ^  knell bpf +\d+\.\d \[

NAME storm: every kind of listener, without lost events
NEEDS root connector
RUN knell-bench storm -r 1 -p 50 --rival none
EXPECT ^vfork storm$
EXPECT ^fork storm$
EXPECT ^exec storm$
EXPECT ^  null +\d
EXPECT ^  naive client, every exit +\d.* 0$
EXPECT ^  knell connector, fork, exec and exit, full +\d.* 0$
REFUSE ^  knell .* [1-9]\d*$

NAME storm: a rival takes part
NEEDS root connector tool:forkstat
RUN knell-bench storm --kind vfork -r 1 -p 50 --rival forkstat
EXPECT ^  forkstat -e exit +\d+\.\d\d \[
REFUSE exitsnoop

NAME storm: a rival that is not installed is reported as absent
NEEDS root connector
RUN PATH=${PATH%%:*} knell-bench storm --kind exec -r 1 -p 20 --rival extrace,forkstat | grep -c -E '^(absent: (extrace|forkstat): not installed|  (extrace|forkstat) -)'
EXPECT \A2\n\Z

NAME fanout: every listener counts right
NEEDS root connector
RUN knell-bench fanout -r 1 -p 100 --listeners 1,6
EXPECT ^1 listener$
EXPECT ^6 listeners$
EXPECT ^  connector, a naive client each +\d.* 0 +0$
EXPECT ^  knell connector, a knell_open each +\d.* 0 +0$
EXPECT ^absent: knell, through the daemon: 

NAME latency: a line for each listener and latency budget
NEEDS root connector
RUN knell-bench latency -r 1 -p 10 --load idle,1k
EXPECT ^idle: an exit every 20 ms$
EXPECT ^1000 exits/s$
EXPECT ^ +p50 us +p90 us +p99 us +max us +CPU ns/event +exits/s +started late +lost$
EXPECT ^  naive client +\d
EXPECT ^  knell connector, budget 0 ms +\d
EXPECT ^  knell connector, budget 10 ms +\d

NAME soak: no lost events
NEEDS root connector
RUN knell-bench soak --via connector -r 4 -p 500
EXPECT ^2000 processes, 0 lost; RSS
REFUSE FAILED

NAME soak: memory above the limit
NEEDS root connector
RUN knell-bench soak --via connector -r 1 -p 100 --most 1
STATUS 1
EXPECT ^FAILED: RSS is above 1 MiB$

NAME kill: each way, for each size
NEEDS root connector
RUN knell-bench kill -r 1 --memory 1,20
EXPECT ^a process of 1 MiB$
EXPECT ^a process of 20 MiB$
EXPECT ^ +ms to confirmed death +most +CPU ms of the killer$
EXPECT ^  knell_kill\(\) +\d
EXPECT ^  pidfd +\d
EXPECT ^  kill\(pid, 0\) every 100 ms +\d
REFUSE_ERR .

NAME kill: sizes out of their bounds
RUN knell-bench kill --memory 16,0
STATUS 2
EXPECT_ERR \Aknell-bench: --memory 0: not a number from 1 to 65536\n\Z
REFUSE .

NAME Ctrl-C prints the results so far and a note, and all processes end
NEEDS root connector
SETUP cat > script <<'END'
 # The duration of a round is not known: waits longer each time, until one round was complete.
 for ((wait = 1; ; wait *= 2)); do
 knell-bench soak --via connector -r 1000 -p 21 >out 2>err & k=$!
 sleep $wait
 kill -INT $k; wait $k; status=$?
 ! grep -q '^  knell connector' out || break
 done
 echo status $status
 pgrep -f 'knell-benc[h] soak --via connector -r 1000 -p 21' || echo nobody
 END
RUN bash script; cat out; cat err >&2
EXPECT ^status 130$
EXPECT ^nobody$
EXPECT ^interrupted: a partial result$
EXPECT ^  knell connector, every exit, full +0
REFUSE_ERR .
