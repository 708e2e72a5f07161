# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME SIGTERM is the default
RUN sleep 1000 & knell kill $! | sed "s/^$! //"
EXPECT \ASIGTERM after \d+\w+\n\Z
REFUSE_ERR .

NAME signals by name and number
RUN for s in KILL sigusr1 SIGHUP 15; do sleep 1000 & knell kill -s $s $!; done; sleep 1000 & knell kill -9 $!
EXPECT \A\d+ SIGKILL after \S+\n\d+ SIGUSR1 after \S+\n\d+ SIGHUP after \S+\n\d+ SIGTERM after \S+\n\d+ SIGKILL after \S+\n\Z

NAME several processes, and one twice
RUN sleep 1000 & a=$!; sleep 1000 & b=$!; knell kill $a $b $a | wc -l
EXPECT ^2$

NAME the exit status of a handler, not of the signal
RUN (trap 'exit 7' TERM; echo >ready; while :; do sleep 0.02; done) & until [ -e ready ]; do sleep 0.02; done; knell kill $!
EXPECT ^\d+ exit 7 after 
STATUS 0

NAME as JSON
RUN sleep 1000 & knell kill -o json $!
EXPECT \A\{"type":"exit",.*"signal":"SIGTERM",.*"via":"pidfd","cursor":null,"redelivered":false,"took_ns":\d+\}\n\Z

NAME the time-out, with what is still running
RUN trap '' TERM; sleep 1000 & a=$!; trap - TERM; knell kill --timeout 100ms $a; s=$?; knell kill -9 $a; exit $s
STATUS 124
EXPECT \A\d+ SIGKILL after \S+\n\Z
EXPECT_ERR ^knell: 1 process still running after 100ms$

NAME a process that does not exist, and one that does
RUN sleep 1000 & knell kill 4194304 $!
STATUS 1
EXPECT \A\d+ SIGTERM after \S+\n\Z
EXPECT_ERR \Aknell: there is no process 4194304\n\Z

NAME a process that may not be signalled
NEEDS root
RUN sleep 1000 & setpriv --reuid 65534 --regid 65534 --clear-groups "$(type -P knell)" kill $!; s=$?; kill $!; exit $s
STATUS 1
REFUSE .
EXPECT_ERR \Aknell: cannot signal process \d+: Operation not permitted\n\Z

NAME a stopped process ends at SIGKILL
RUN sh -c 'kill -STOP $$' & until_stopped $!; knell kill -9 $!
EXPECT \A\d+ SIGKILL after \S+\n\Z

NAME real-time signals
RUN for s in RTMIN+1 SIGRTMAX 35 sigrtmin; do sleep 1000 & until_runs $! sleep; knell kill -s $s $!; done; knell kill -s RTMIN+31 1; echo $?; knell kill -s 65 1; echo $?
EXPECT \A\d+ SIGRTMIN\+1 after [^\n]*\n\d+ SIGRTMAX after [^\n]*\n\d+ SIGRTMIN\+1 after [^\n]*\n\d+ SIGRTMIN after [^\n]*\n2\n2\n\Z
EXPECT_ERR ^knell: --signal: there is no signal 'RTMIN\+31'$
EXPECT_ERR ^knell: --signal: there is no signal '65'$
