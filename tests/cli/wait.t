# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# The processes end only after the command has begun to wait for them.

NAME the status of another process's child
RUN (until_awaited; exit 9) & knell wait $!
STATUS 9
EXPECT \A\d+ exit 9\n\Z
REFUSE_ERR .

NAME a signal is 128 and the signal
RUN (until_awaited; kill -KILL $BASHPID) & knell wait $!
STATUS 137
EXPECT ^\d+ SIGKILL\b

NAME several: each a line, and the status of the last
RUN (until_says out 'exit 4'; exit 9) & a=$!; (until_awaited $a; until_awaited; exit 4) & knell wait $a $! >out; s=$?; cat out; exit $s
STATUS 9
EXPECT \A\d+ exit 4\n\d+ exit 9\n\Z

NAME --any: the first
RUN sleep 1000 & a=$!; (until_awaited; exit 4) & knell wait --any $a $!
STATUS 4
EXPECT \A\d+ exit 4\n\Z

NAME as JSON
RUN (until_awaited; exit 9) & knell wait -o json $!
STATUS 9
EXPECT \A\{"type":"exit",.*"exit_code":9,.*"via":"(pidfd|bpf)","cursor":null,"redelivered":false\}\n\Z

NAME the time-out
RUN sleep 1000 & knell wait --timeout 100ms $!
STATUS 124
REFUSE .
EXPECT_ERR \Aknell: 1 of 1 processes still running after 100ms\n\Z

NAME a PID that does not exist
RUN knell wait 4194304
STATUS 125
EXPECT_ERR \Aknell: there is no process 4194304\n\Z

NAME a process that does not exist among others
RUN (until_awaited; exit 0) & knell wait 4194304 $!
STATUS 125
EXPECT ^\d+ exit 0$
EXPECT_ERR \Aknell: there is no process 4194304\n\Z

NAME --any ignores a process that does not exist
RUN (until_awaited; exit 6) & knell wait --any 4194304 $!
STATUS 6

NAME the same pid twice counts once
RUN (until_awaited; exit 6) & knell wait $! $!
STATUS 6
EXPECT \A\d+ exit 6\n\Z

NAME more processes than descriptors are allowed at first
RUN ulimit -Sn 32; for i in $(seq 60); do sleep 1000 & done; p=$(jobs -p); (until_awaited $!; kill $p) & knell wait $p | sort -u | wc -l
EXPECT ^60$

NAME more processes than descriptors can be had
RUN ulimit -n 12; for i in $(seq 20); do sleep 1000 & done; knell wait $(jobs -p)
STATUS 125
EXPECT_ERR \Aknell: too many processes for the limit of 12 open files; raise it with ulimit -n\n\Z

NAME a closed pipe does not end the waiting
RUN (until_awaited; exit 9) & knell wait $! | true; echo ${PIPESTATUS[0]}
EXPECT ^9$

NAME a full standard error changes no status
RUN knell wait 4194304 2>/dev/full
STATUS 125

NAME a closed standard error changes no status
RUN sleep 1000 & p=$!; (until [ -e closed ]; do sleep 0.02; done; knell wait --timeout 100ms $p 2>&1; echo $? >status) | { exec <&-; echo >closed; }; until [ -s status ]; do sleep 0.02; done; cat status
EXPECT ^124$

NAME a thread is distinguished from a process
NEEDS tool:python3
SETUP printf 'import threading, time\nt = threading.Thread(target=time.sleep, args=(1000,))\nt.start()\nopen("tid", "w").write(str(t.native_id) + "\\n")\n' >threads
RUN python3 threads & until [ -s tid ]; do sleep 0.02; done; knell wait $(cat tid); s=$?; kill $!; exit $s
STATUS 125
EXPECT_ERR \Aknell: \d+ is a thread of process \d+, not a process\n

NAME the cause of a death, if a source knows it
NEEDS bpf
# Repeats the test, since the kernel does not run the bpf programs for every signal.
RUN for try in 1 2 3 4 5 6 7 8; do sleep 1000 & p=$!; knell wait $p >out & w=$!; until_awaited $p; until_traced $w; kill -KILL $p; wait $w; s=$?; grep -q 'kill by' out && break; done; cat out; exit $s
STATUS 137
EXPECT ^\d+ SIGKILL  <- kill by \d+ \S+.*$

NAME all that match a predicate now
RUN ln -s $(type -P sleep) nap-$$; ./nap-$$ 1000 & a=$!; ./nap-$$ 1000 & b=$!; until_runs $a ./nap-$$; until_runs $b ./nap-$$
    (until_awaited $a; until_awaited $b; kill $a $b) & knell wait -C nap-$$ | wc -l
EXPECT ^2$

NAME predicates and --any: the first of them
RUN ln -s $(type -P sleep) doze-$$; ./doze-$$ 1000 & a=$!; ./doze-$$ 1000 & b=$!; until_runs $a ./doze-$$; until_runs $b ./doze-$$
    (until_awaited $a; until_awaited $b; kill $a) & knell wait -C doze-$$ --any | wc -l; kill $b
EXPECT ^1$

NAME a PID and predicates: both
RUN ln -s $(type -P sleep) rest-$$; sh -c 'kill -STOP $$; exit 4' & a=$!; ./rest-$$ 1000 & b=$!; until_runs $b ./rest-$$
    (until_awaited $a; until_awaited $b; kill -CONT $a; kill $b) & knell wait $a --pid $b -C rest-$$ >out; wc -l <out; grep -c "$a exit 4" out
EXPECT ^2\n1$

NAME predicates that match nothing
RUN knell wait -C no-such-name-$$
STATUS 123
REFUSE .
EXPECT_ERR \Aknell: there are no processes with --comm no-such-name-\d+\n\Z

NAME predicates about an end are refused
RUN knell wait --ended 0
STATUS 125
EXPECT_ERR \Aknell: unknown option --ended[^\n]*\n\Z

NAME a dead process that nobody has reaped when the time-out passes
NEEDS root
NEEDS tool:setpriv
# Its status is unknown to another user until it is reaped. A shell would reap it, so it ends when
# the parent is none any more.
SETUP printf 'sh -c "until [ -e go ]; do sleep 0.02; done; exit 4" & echo $! >pid; exec sleep 1000\n' >parent
RUN sh parent & until_runs $! sleep; touch go; until [[ $(ps -o state= -p "$(<pid)") == Z ]] 2>/dev/null; do sleep 0.02; done
    setpriv --reuid=65534 --regid=65534 --clear-groups "$(type -P knell)" wait --timeout 10ms $(<pid); echo $?
EXPECT \A\d+ unknown\n125\n\Z
REFUSE_ERR running

NAME an exit whose cause has not come when the time-out passes
NEEDS root
# The process is a zombie, of which knelld reports no exit.
SETUP printf 'sh -c "until [ -e go ]; do sleep 0.02; done; exit 4" & echo $! >pid; exec sleep 1000\n' >parent
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log & daemon=$!
    until knell status >up 2>&1; do sleep 0.02; done
    sh parent & until_runs $! sleep; touch go; until [[ $(ps -o state= -p "$(<pid)") == Z ]] 2>/dev/null; do sleep 0.02; done
    knell wait --timeout 10ms $(<pid); echo $?; kill $daemon; wait $daemon
EXPECT \A\d+ (exit 4\n4|unknown\n125)\n\Z
REFUSE_ERR running
