# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# That the frame of knell-bench and its cases table, storm and filtered work at all: what is told,
# what it looks like, how it ends. How long anything took is never looked at.

NAME no case
RUN knell-bench
STATUS 2
EXPECT_ERR \Aknell-bench: which case\? There are table, storm, filtered[^\n]*\n\Z
REFUSE .

NAME an unknown case is refused with the nearest right one
RUN knell-bench strom
STATUS 2
EXPECT_ERR \Aknell-bench: no case 'strom'; did you mean storm\?\n\Z
REFUSE .

NAME an option before the case
RUN knell-bench --json x table
STATUS 2
EXPECT_ERR \Aknell-bench: unknown option --json; a case comes first[^\n]*\n\Z
REFUSE .

NAME an unknown option is refused with the nearest right one
RUN knell-bench table --jsno x
STATUS 2
EXPECT_ERR \Aknell-bench: unknown option --jsno; did you mean --json\?\n\Z

NAME an unknown rival
NEEDS root
RUN knell-bench storm --share-core --rival forkstta
STATUS 2
EXPECT_ERR \Aknell-bench: no rival 'forkstta'; did you mean forkstat\?\n\Z
REFUSE .

NAME an unknown storm
NEEDS root
RUN knell-bench storm --share-core --kind hail
STATUS 2
EXPECT_ERR \Aknell-bench: no storm 'hail'; there are vfork, fork, exec, thread, burst\n\Z

NAME too many rounds
RUN knell-bench table -r 1000000
STATUS 2
EXPECT_ERR \Aknell-bench: --rounds: [^\n]*range[^\n]*\n\Z

NAME no rounds
RUN knell-bench table -r 0
STATUS 2
EXPECT_ERR \Aknell-bench: --rounds: [^\n]*range[^\n]*\n\Z

NAME an option without its value
RUN knell-bench table --json
STATUS 2
EXPECT_ERR \Aknell-bench: --json needs a value\n\Z

NAME words that are no cores
NEEDS root
RUN knell-bench table --listener-cores one
STATUS 2
EXPECT_ERR \Aknell-bench: 'one' is no list of cores; right is [^\n]*\n\Z

NAME a core that is not there
RUN knell-bench table --storm-core 1000 --share-core
STATUS 2
EXPECT_ERR \Aknell-bench: core 1000 is not there for us; there are [^\n]*\n\Z

NAME one core only
NEEDS tool:taskset
RUN taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" knell-bench table
STATUS 3
EXPECT_ERR \Aknell-bench: one core for the storm[^\n]*--share-core[^\n]*\n\Z
REFUSE .

NAME a file that cannot be written is told before anything is measured
RUN knell-bench table --share-core --json nowhere/table.json
STATUS 2
EXPECT_ERR \Aknell-bench: cannot write nowhere/table.json: [^\n]*\n\Z

NAME without root it says what would help
NEEDS root
NEEDS tool:setpriv
RUN setpriv --reuid 65534 --regid 65534 --clear-groups knell-bench table --share-core
STATUS 3
EXPECT_ERR \Aknell-bench: only root [^\n]*sudo knell-bench\n\Z
REFUSE .

NAME help has examples, and every case
RUN knell-bench --help
EXPECT ^  knell-bench table +\[OPTIONS\]
EXPECT ^  knell-bench storm +\[OPTIONS\]
EXPECT ^  knell-bench filtered +\[OPTIONS\]
EXPECT ^Exit status:

NAME help of a case
RUN knell-bench storm --help
EXPECT ^  --rival RIVAL,...
EXPECT ^Examples:$

NAME version
RUN knell-bench --version
EXPECT \Aknell-bench \d+\.\d+\.\d+\n\Z

NAME table has its five rows and all columns
NEEDS root connector
RUN knell-bench table -r 1 -p 50 --share-core
EXPECT \Aknell-bench \d[^\n]*1 rounds of 50$
EXPECT ^ +naive client +naive client, filtered
EXPECT ^  50 exits +\d+ / \d
EXPECT ^  50 exits \+ forks +\d+ / \d
EXPECT ^  50 exits \+ forks \+ execs +\d+ / \d
EXPECT ^  50 non-zero exits, 1 in 10 +\d+ / \d
EXPECT ^  50 exits by pidfd +\d+ / \d
EXPECT ^  knell connector +\d+\.\d \[\d+\.\d, \d+\.\d\]\*
EXPECT ^\* the whole range: fewer than 6 rounds
REFUSE_ERR .

NAME bpf has its columns
NEEDS root connector bpf
RUN knell-bench table -r 1 -p 50 --share-core
EXPECT knell bpf +knell bpf, full
EXPECT ^  knell bpf +\d+\.\d \[

NAME the JSON has every round, and says where it was taken
NEEDS root connector tool:jq
SETUP knell-bench filtered -r 6 -p 50 --share-core --json out.json >table
RUN jq -c '[.program, .case, .format, .rounds, .processes, .partial, (.commit|type), (.kernel|type), (.cpu|type), (.date|type), .command, ([.series[].rounds|length]|unique), ([.series[]|select(.median)|.interval_is_95]|unique)]' out.json; cat table
EXPECT \A\["knell-bench","filtered",1,6,50,false,"string","string","string","string","knell-bench filtered -r 6 -p 50 --share-core --json out.json",\[6\],\[true\]\]$
EXPECT ^  naive client, classic BPF socket filter +-?\d+ \[-?\d+, -?\d+\] 
EXPECT ^  another null: the noise 
REFUSE \*

NAME JSON in place of the table
NEEDS root connector tool:jq
RUN knell-bench filtered -r 1 -p 20 --share-core --json - | jq -r '.series[0].metric'
EXPECT \Ans_above_null_per_process\n\Z

NAME storms of every kind, and nothing lost
NEEDS root connector tool:jq
SETUP knell-bench storm -r 1 -p 50 --burst 50 --share-core --rival none --json out.json >table
RUN cat table; jq -r '.series[] | select(.metric == "events_lost" and .sum > 0) | "lost by " + .contender' out.json
EXPECT ^vfork storm$
EXPECT ^fork storm$
EXPECT ^exec storm$
EXPECT ^thread storm$
EXPECT ^burst storm$
EXPECT ^  null +\d
EXPECT ^  naive client, every exit +\d
EXPECT ^  knell connector, fork, exec and exit, full +\d
REFUSE lost by knell

NAME a rival takes part
NEEDS root connector tool:forkstat
RUN knell-bench storm --kind vfork -r 1 -p 50 --share-core --rival forkstat
EXPECT ^  forkstat -e exit +\d+\.\d\d \[
REFUSE exitsnoop

NAME a rival that is not installed is named as absent
NEEDS root connector
RUN PATH=${PATH%%:*} knell-bench storm --kind exec -r 1 -p 20 --share-core --rival extrace,forkstat | grep -c -E '^(absent: (extrace|forkstat): not installed|  (extrace|forkstat) -)'
EXPECT \A2\n\Z

NAME what is idle
NEEDS root connector
RUN knell-bench storm --kind thread -r 1 -p 20 --share-core --rival none --idle 1
EXPECT ^idle$
EXPECT ^  knell connector, non-zero, status +\d+\.\d \[

NAME Ctrl-C gives the table so far, and says so
NEEDS root connector tool:jq
SETUP cat > script <<'END'
 # How long a round takes is not known: a longer wait, until one was complete.
 for wait in 1 2 4 8 16; do
 knell-bench filtered -r 5000 -p 20 --share-core --json out.json >out 2>err & k=$!
 sleep $wait
 kill -INT $k; wait $k; status=$?
 ! grep -q '^  knell connector' out || break
 done
 echo status $status
 END
RUN bash script; cat out; cat err >&2; jq -c '.partial' out.json
EXPECT ^status 130$
EXPECT ^interrupted: a partial result, of the rounds that were complete$
EXPECT ^  knell connector +-?\d
EXPECT ^true$
REFUSE_ERR .

NAME no contender is left behind
NEEDS root connector
SETUP knell-bench filtered -r 1 -p 21 --share-core >out
RUN pgrep -f 'knell-benc[h] filtered -r 1 -p 21' || echo none
EXPECT \Anone\n\Z
