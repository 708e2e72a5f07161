# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Trees of the case's own processes, below its shell. A child stops itself once it runs, so that its
# place in the tree is known.

NAME the processes that are alive, children below their parents
RUN sh -c 'sh -c "kill -STOP \$\$; true" inner & wait' outer & p=$!; until_stopped_below $p
    knell tree -d 0 --under $p
EXPECT \APID +USER +(UNIT +)?AGE +COMMAND\n\d+ .* sh -c '.*' outer\n\d+ .* └─sh -c '.*' inner\n\Z
EXPECT_ERR \Aprocesses with --under \d+, from /proc\n2 processes\n\Z

NAME without UTF-8 the lines are ASCII
RUN sh -c 'sh -c "kill -STOP \$\$; true" inner & wait' outer & p=$!; until_stopped_below $p; LC_ALL=C knell tree -d 0 --under $p
EXPECT `-sh -c
REFUSE [└├│]

NAME JSON has an object a line, parents first
NEEDS tool:jq
RUN sh -c 'sh -c "kill -STOP \$\$; true" inner & wait' outer & p=$!; until_stopped_below $p
    knell tree -d 0 --under $p -o json >out; jq -r '"\(.depth) \(.alive) \(.args[-1]) \(.age_ns >= 0) \(.via)"' <out
    [[ $(jq -r .id <out | head -1) == $(jq -r .parent_id <out | tail -1) ]] && echo linked
EXPECT \A0 true outer true proc\n1 true inner true proc\nlinked\n\Z
REFUSE_ERR .

NAME one that ends while it listens is shown with its status
NEEDS connector
RUN mkfifo go; sh -c 'sh -c "read x <go; exit 7" inner & wait; kill -STOP $$; true' outer & p=$!
    knell tree -d 100s --under $p >out 2>err & k=$!; until_listens err; echo >go; until_stopped $p; kill -INT $k; wait $k; cat out err
EXPECT ^\d+ .* sh -c '.*' outer$
EXPECT ^\d+ .* └─✗ exit 7, \S+ ago  sh -c '.*' inner$
EXPECT ^1 process, 1 ended, 0 lost$

NAME -w shows the tree again until a signal
NEEDS connector
RUN mkfifo go; sh -c 'sh -c "read x <go; exit 7" inner & wait; kill -STOP $$; true' outer & p=$!
    knell tree -w --interval 100ms --keep 1h --under $p >out 2>err & k=$!; until_says out inner; echo >go; until_says out 'exit 7'; kill -INT $k; wait $k; grep -c COMMAND out >count; (($(<count) > 1)) && echo again
EXPECT \Aagain\n\Z

NAME processes that repeat share a line
NEEDS connector
RUN mkfifo go; sh -c 'read x <go; for i in 1 2 3 4 5 6 7 8; do sh -c "exit $((i / 5))"; done; kill -STOP $$; true' outer & p=$!
    knell tree -d 100s --under $p >out 2>err & k=$!; until_listens err; echo >go; until_stopped $p; kill -INT $k; wait $k; cat out err
EXPECT └─✗ sh × 8, 4 failed, the last: exit 1, \S+ ago  sh -c 'exit 1'$
EXPECT ^1 process, 8 ended, 0 lost$

NAME over pidfds, without a source
NEEDS root
NEEDS tool:unshare
RUN mkfifo go; chmod 777 . go; cat >script <<'END'
    sh -c 'sh -c "read x <go; exit 7" inner & wait; kill -STOP $$; true' outer & p=$!
    until pgrep -P $p >/dev/null; do sleep 0.02; done
    knell tree -d 100s --under $p >out 2>err & k=$!; until_says err Ctrl-C; until_awaited $(pgrep -P $p); echo >go; until_stopped $p; kill -INT $k; wait $k; cat out err
    END
    unshare -n setpriv --reuid 65534 --regid 65534 --clear-groups bash script
EXPECT_ERR \A\Z
EXPECT via pidfds \(only of processes that are alive now\)
EXPECT └─✗ exit 7, \S+ ago  sh -c '.*' inner

NAME no process matches
RUN knell tree -d 0 -C no-such-name-$$
EXPECT \APID +USER +AGE +COMMAND\n\Z
EXPECT_ERR there are no processes with --comm no-such-name-\d+\n\Z

NAME hostile arguments are made visible
RUN sh -c 'kill -STOP $$; true' "$(printf '\033[2Jx\ny')" & p=$!; until_stopped $p; knell tree -d 0 --pid $p
EXPECT \\x1b\[2Jx\\x0ay
REFUSE \x1b

NAME a closed pipe ends quietly
RUN knell tree -d 0 | true; echo ${PIPESTATUS[0]}
EXPECT \A0\n\Z

NAME a full disk is an error
RUN knell tree -d 0 >/dev/full
STATUS 1
EXPECT_ERR cannot write standard output: No space left on device

NAME kernel threads are counted
NEEDS root
RUN knell tree -d 0 >short; knell tree -d 0 --all >long; (($(wc -l <short) < $(wc -l <long))) && grep -c '^2 .*kernel threads: --all' short
EXPECT \A1\n\Z
