# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# A case recognises by the header on standard error that the listener is open; where there is no
# header (JSON), it causes events until the command has ended.
NEEDS connector

NAME shows a failure with its arguments, and nothing else
SETUP cat > script <<'END'
 knell watch -e nonzero-exit --under $$ >out 2>err & k=$!
 until_listens err
 true; /bin/true; sh -c 'sleep 0.2; exit 7'
 until_says out 'exit 7'
 kill -INT $k; wait $k; echo status $?
 END
RUN bash script; cat out; cat err >&2
EXPECT ^status 0$
EXPECT ^TIME +PID +PARENT +USER +UNIT +AGE +ENDED +COMMAND$
EXPECT ^\d\d:\d\d:\d\d\.\d{3}  \d+ +bash .* \d+m?s +exit 7 +sh -c 'sleep 0\.2; exit 7'$
REFUSE true
REFUSE \x1b
EXPECT_ERR ^non-zero exits of processes with --under \d+, via (bpf|connector); Ctrl-C ends with a summary$
EXPECT_ERR ^ 1 shown, 0 lost; most: exit 7 sh 1$

NAME one failure as JSON, then it ends
RUN (while :; do sh -c 'sleep 0.2; exit 7'; done) & knell watch -e nonzero-exit --exit-code 7 --under $$ -o json -n 1
EXPECT \A\{"type":"exit",[^\n]*\}\n\Z
EXPECT "exit_code":7,"signal":null
EXPECT "args":\["sh","-c","sleep 0\.2; exit 7"\]
REFUSE_ERR .

NAME one failure as csv, with chosen columns
RUN (while :; do sh -c 'sleep 0.2; exit 7'; done) & knell watch -e nonzero-exit --exit-code 7 --under $$ -o csv=ended,pid,user,command,killer -n 1
EXPECT \Aended,pid,user,command,killer\nexit 7,\d+,\w+,sh -c 'sleep 0\.2; exit 7',\n\Z
REFUSE_ERR .

NAME one failure as a table with chosen columns
RUN (while :; do sh -c 'sleep 0.2; exit 7'; done) & knell watch -e nonzero-exit --exit-code 7 --under $$ -o table=pid,ended,killer,command -n 1
EXPECT \APID      ENDED         KILLER                        COMMAND\n\d+ +exit 7        -                             sh -c 'sleep 0\.2; exit 7'\n\Z
EXPECT_ERR ^ 1 shown, 0 lost

NAME a signal as JSON
RUN (while :; do sh -c 'sleep 0.1; kill -SEGV $$'; done) 2>/dev/null & knell watch -e nonzero-exit --signal 11 --under $$ -o json -n 1
EXPECT "exit_code":null,"signal":"SIGSEGV"

NAME other types come in a column named EVENT
RUN (while :; do /bin/true; sleep 0.05; done) & knell watch -e fork,exec --under $! -n 4
EXPECT ^TIME .* EVENT +COMMAND$
EXPECT fork -> \d+
EXPECT  exec  

NAME ends after its time
RUN knell watch -d 100ms --pid 1
EXPECT_ERR 0 shown, 0 lost

NAME ends quietly when the pipe is closed
RUN (while :; do /bin/true; done) & knell watch -o json | head -1 >/dev/null; echo ${PIPESTATUS[0]}
EXPECT ^0$
REFUSE_ERR .

NAME ends when the reader has closed the pipe, without an event
RUN knell watch -o json --pid 1 | sleep 0.3; echo ${PIPESTATUS[0]}
EXPECT ^0$
REFUSE_ERR .

NAME a full disk gives one line
RUN (while :; do /bin/true; done) & knell watch -o json >/dev/full
STATUS 1
EXPECT_ERR \Aknell: cannot write standard output: No space left on device\n\Z

NAME a closed standard output gives one line
RUN (while :; do /bin/true; done) & knell watch -o json >&-
STATUS 1
EXPECT_ERR \Aknell: cannot write standard output: [^\n]*\n\Z

NAME SIGTERM in the middle of a storm ends with a summary
SETUP cat > script <<'END'
 (while :; do /bin/true; done) & storm=$!
 knell watch >out 2>err & k=$!
 until (( $(wc -l <out) > 50 )); do sleep 0.02; done
 kill -TERM $k; wait $k; echo status $?
 END
RUN bash script; cat err >&2; tail -c 1 out | od -An -c
EXPECT ^status 0$
EXPECT \\n
EXPECT_ERR ^ \d+ shown, 0 lost; most:

NAME Ctrl-C ends it although the output is not read
SETUP cat > script <<'END'
 mkfifo pipe; exec 3<>pipe
 (while :; do /bin/true; done) & storm=$!
 knell watch -o json >pipe 2>err & k=$!
 until grep -q -E 'pipe_w' /proc/$k/wchan; do sleep 0.05; done
 kill -INT $k; wait $k; echo status $?
 END
RUN bash script; cat err >&2
EXPECT ^status 1$
EXPECT_ERR \Aknell: \d+ bytes to standard output were dropped: its reader is not reading\n\Z

NAME counts by key
RUN (while :; do sh -c 'sleep 0.1; exit 3'; done) & knell watch -e nonzero-exit --under $! -n 3 --by ended,comm
EXPECT ^ +COUNT +NEW +ENDED +COMM$
EXPECT ^ +3 +\d +exit 3 +sh$

NAME counts by key as JSON
RUN (while :; do sh -c 'exit 3'; sleep 0.05; done) & knell watch -e nonzero-exit --under $! -n 3 --by ended,unit -o json | tail -1
EXPECT ^\{"time":"[^"]+","final":true,"by":\{"ended":"exit 3","unit":[^}]+\},"count":3,"new":\d\}$

NAME runs a command for each event, with the event
SETUP printf '#!/bin/sh\nread json; echo "$KNELL_TYPE $KNELL_COMM $KNELL_EXIT_CODE $1 ${json%%%%,*}"\nexit 9\n' >hook
SETUP chmod +x hook
RUN (while :; do sh -c 'sleep 0.1; exit 3'; done) & knell watch -e nonzero-exit -C sh --under $$ -n 2 --exec ./hook 'two words'
EXPECT \A(exit sh 3 two words \{"type":"exit"\n){2}\Z
EXPECT_ERR 2 shown, 0 lost;.*2 runs of ./hook, 2 failed

NAME --exec-limit: further events of the minute are counted
SETUP printf '#!/bin/sh\nread json; echo "$KNELL_TYPE $KNELL_COMM$KNELL_SKIPPED $json"\n' >hook
SETUP chmod +x hook
RUN (while :; do sh -c 'exit 3'; sleep 0.02; done) & knell watch -e nonzero-exit -C sh --under $! -n 5 --exec-limit 2 --exec ./hook | sed 's/{"type":"exit".*/JSON/' | sort
EXPECT \A(exit sh JSON\n){2}summary 3 \{"type":"summary","skipped":3\}\n\Z
EXPECT_ERR 5 shown, 0 lost;.*3 runs of ./hook, 0 failed

NAME --exec-limit without --exec, or without a number
RUN knell watch --exec-limit 5; knell watch --exec-limit 0 --exec true
STATUS 2
EXPECT_ERR \Aknell: --exec-limit needs --exec CMD ARG...\nknell: --exec-limit takes a number from 1 to 1000000, not '0'\n\Z

NAME the command gets the end, the killer, the directory and the arguments
NEEDS bpf
SETUP printf '#!/bin/sh\nenv | grep ^KNELL_\n' >hook
SETUP chmod +x hook
SETUP cat > script <<'END'
 knell watch -e nonzero-exit --under $$ -C tail -n 1 --exec ./hook >out 2>err & k=$!
 until [[ $(<err) == *Ctrl-C* ]]; do sleep 0.02; done
 tail -f /dev/null 'a"b' 'c d' >/dev/null 2>&1 & victim=$!
 until [[ $(tr '\0' ' ' </proc/$victim/cmdline) == tail* ]]; do sleep 0.01; done
 kill -9 $victim
 wait $k
 pwd -P
 END
RUN bash script; cat out
EXPECT ^KNELL_ENDED=SIGKILL$
EXPECT ^KNELL_KILLED_BY=kill by \d+ bash .*\(\w+\)$
EXPECT ^KNELL_ARGS_JSON=\["tail","-f","/dev/null","a\\"b","c d"\]$
EXPECT (?s)^(/[^\n]+)\n.*^KNELL_CWD=\1$

NAME events of the command do not start it again
SETUP printf '#!/bin/sh\nsh -c "exit 3"; echo $$; exit 9\n' >hook
SETUP chmod +x hook
SETUP cat > script <<'END'
 knell watch -e nonzero-exit --under $$ --exec ./hook >out 2>err & k=$!
 until_listens err
 # Each run of the hook has ended before the next event is caused; that event is the last one
 # reported.
 for n in 1 2 3; do
 (exit 3); until (( $(wc -l <out) >= n )); do sleep 0.02; done
 until_gone $(tail -1 out)
 done
 kill -INT $k; wait $k; cat err >&2
 END
RUN bash script
EXPECT_ERR ^ 3 shown, 0 lost; .*; 3 runs of \./hook, 3 failed$

NAME drops the capabilities it does not need
NEEDS root
NEEDS tool:capsh
SETUP cat > script <<'END'
 knell watch --pid 1 >out 2>err & k=$!
 until_says out TIME
 capsh --decode=$(sed -n 's/^CapPrm:.//p' /proc/$k/status)
 grep NoNewPrivs /proc/$k/status
 kill $k
 END
RUN bash script
EXPECT =(cap_dac_read_search|cap_net_admin|cap_sys_ptrace|,)*$
EXPECT ^NoNewPrivs:\s1$

NAME without free descriptors it prints one line at the most
RUN (while :; do sh -c 'exit 0'; done) & for n in 4 5 6 7 8 9 10; do (exec >/dev/null 2>err; ulimit -n $n; exec knell watch --pid 1 -d 50ms); echo $n $? $(grep -c ^knell: err); done
EXPECT ^4 1 1$
EXPECT ^10 (0 0|1 1)$
REFUSE ^\d+ (0 [^0]|1 [^1]|[^01])

NAME another pid namespace is explained
NEEDS root
NEEDS tool:unshare
RUN unshare -fp --mount-proc knell watch
STATUS 3
EXPECT_ERR \Aknell: [^\n]*pid namespace[^\n]*\n\Z

NAME another network namespace is explained
NEEDS root
NEEDS tool:unshare
RUN unshare -n setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell watch
STATUS 3
EXPECT_ERR \Aknell: [^\n]*network namespace[^\n]*\n\Z

NAME a terminal is coloured and left as it was
NEEDS tool:script
SETUP cat > inner <<'END'
 stty cols 100; (while :; do sh -c 'exit 3'; sleep 0.1; done) &
 knell watch -e nonzero-exit --under $! -n 2; kill $!
 END
RUN script -qec 'bash inner' /dev/null </dev/null
EXPECT \x1b\[33mexit 3\x1b\[0m
REFUSE \x1b\[(?!0)\d+m(?![^\x1b\n]*\x1b\[0m)

NAME a narrow terminal shows who killed it, whole and before the command
NEEDS bpf
NEEDS tool:script
SETUP cat > inner <<'END'
 stty cols $1
 sleep 7777 & victim=$!
 until_runs $victim sleep
 (until_says out COMMAND; kill -9 $victim) &
 NO_COLOR=1 knell watch -e nonzero-exit --pid $victim -n 1 2>err
 END
RUN for c in 60 80; do rm -f out; script -qfec "bash -c '. $PWD/inner $c'" out </dev/null; done | tr -d '\r'
EXPECT (?s)SIGKILL\s+<- kill by \d+ bash .*?\(\w+\)\s+sleep 7777$.*SIGKILL\s+<- kill by \d+ bash .*?\(\w+\)\s+sleep 7777$
REFUSE …

NAME a terminal is not coloured with NO_COLOR
NEEDS tool:script
SETUP cat > inner <<'END'
 (while :; do sh -c 'exit 3'; sleep 0.1; done) &
 NO_COLOR=1 knell watch -e nonzero-exit --under $! -n 2; kill $!
 END
RUN script -qec 'bash inner' /dev/null </dev/null
EXPECT exit 3
REFUSE \x1b

NAME without the capabilities for bpf it uses the connector
NEEDS root
NEEDS tool:setpriv
RUN setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell watch -d 10ms --pid 1
EXPECT_ERR , via connector; Ctrl-C

NAME without the capabilities for bpf --via bpf fails
NEEDS root
NEEDS tool:setpriv
RUN setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell watch --via bpf
STATUS 3
EXPECT_ERR \Aknell: [^\n]*CAP_BPF[^\n]*\n\Z
REFUSE .

NAME without BTF it uses the connector
NEEDS root
NEEDS tool:unshare
RUN unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && knell watch -d 10ms --pid 1'
EXPECT_ERR , via connector; Ctrl-C

NAME a plain user with the two capabilities has bpf
NEEDS root
NEEDS tool:setpriv
NEEDS bpf
RUN setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=+bpf,+perfmon --ambient-caps=+bpf,+perfmon knell watch -d 10ms --pid 1
EXPECT_ERR , via bpf; Ctrl-C

NAME the table shows who killed it
NEEDS bpf
SETUP cat > script <<'END'
 knell watch -e nonzero-exit --under $$ >out 2>err & k=$!
 until_listens err
 sleep 7777 & victim=$!
 until_runs $victim sleep
 kill -9 $victim
 until_says out SIGKILL
 kill -INT $k; wait $k
 END
RUN bash script; cat out
EXPECT SIGKILL +<- kill by \d+ bash .*\(\w+\)  sleep 7777$

NAME the arguments of a shell older than the listener
NEEDS bpf
SETUP mkfifo gate
SETUP printf 'sh -c "read line <gate; exit 7" & echo $! >pid; wait\n' >script
RUN sh script & until [ -s pid ]; do sleep 0.02; done; until_runs $(<pid) sh; (until_listens err; echo >gate) & knell watch -e nonzero-exit --pid $(<pid) -n 1 2>err; cat err >&2
EXPECT exit 7 +sh -c 'read line <gate; exit 7'
EXPECT_ERR , via bpf; Ctrl-C

NAME the id of a thread is refused
NEEDS tool:python3
SETUP printf 'import threading, time\nt = threading.Thread(target=time.sleep, args=(1000,))\nt.start()\nopen("tid", "w").write(str(t.native_id) + "\\n")\n' >threads
RUN python3 threads & until [ -s tid ]; do sleep 0.02; done; knell watch -d 10ms --pid "!$(cat tid)"; echo $?; knell watch -d 10ms --under 1,$(cat tid); echo $?; kill $!
EXPECT \A1\n1\n\Z
EXPECT_ERR ^knell: --pid \d+: \d+ is a thread of process \d+, not a process$
EXPECT_ERR ^knell: --under \d+: \d+ is a thread of process \d+, not a process$

NAME a full standard error changes no status
RUN knell watch --pid 1 -d 100ms 2>/dev/full

NAME a file size limit is like a full disk
RUN (while :; do /bin/true; done) & (ulimit -f 0; knell watch -o json 2>&1 >out; echo $?) | cat
EXPECT ^knell: cannot write standard output: File too large$
EXPECT ^1$

NAME -d ends it although the output is not read
SETUP cat > script <<'END'
 mkfifo pipe; exec 3<>pipe
 # The pipe is full already, so a single event blocks the writer.
 dd if=/dev/zero of=pipe bs=4k oflag=nonblock status=none 2>/dev/null
 (while :; do /bin/true; done) & storm=$!
 timeout 170 knell watch -o json -d 2 -e exec,exit >pipe; echo status $?
 END
RUN bash script
EXPECT ^status 1$
EXPECT_ERR \Aknell: \d+ bytes to standard output were dropped: its reader is not reading\n\Z

NAME commands that still run are not reported as done
NEEDS tool:pgrep
SETUP cat > script <<'END'
 (while :; do sh -c 'exit 3'; sleep 0.05; done) &
 knell watch -e nonzero-exit --under $! -n 2 --exec sleep 1000 & k=$!
 until [ "$(pgrep -c -P $k)" = 2 ]; do sleep 0.02; done
 # If the first signal comes before knell waits for the commands, it only ends the watching; a
 # further signal ends the waiting.
 while kill -INT $k 2>/dev/null; do sleep 0.1; done
 wait $k
 END
RUN bash script
EXPECT_ERR ; 2 runs of sleep, 0 failed, 2 still running$

NAME --exec does not change the signals of failing writes for the command
RUN (while :; do sh -c 'exit 3'; sleep 0.05; done) & knell watch -e nonzero-exit -n 1 --exec grep SigIgn /proc/self/status
# Bits 12 and 24: SIGPIPE and SIGXFSZ.
EXPECT ^SigIgn:\s[0-9a-f]{9}[02468ace][0-9a-f]{2}[02468ace][0-9a-f]{3}$

NAME knelld is stopped: the last line of each format is the loss
NEEDS root
SETUP cat > script <<'END'
 export KNELL_SOCKET=$PWD/k.sock
 knelld 2>log & daemon=$!
 until knell status >up 2>&1; do sleep 0.02; done
 knell watch -e exit --via daemon --under $$ >table 2>err & table=$!
 until_listens err
 knell watch -e exit --via daemon --under $$ -o json >json 2>/dev/null & json=$!
 knell watch -e exit --via daemon --under $$ -o csv=type,ended >csv 2>/dev/null & csv=$!
 knell watch -e exit --via daemon --under $$ --by comm -o json --interval 20ms >by 2>/dev/null & by=$!
 until [[ -s json && -s by ]] && (( $(wc -l <csv) > 1 )); do (exit 3); done
 kill $daemon; wait $daemon
 kill -INT $table $json $csv $by; wait $table $json $csv $by
 for f in json csv by table; do tail -1 $f; done
 END
RUN bash script
EXPECT \A\{"type":"lost","seq":\d+,"time":"2[^"]+","mono_ns":[1-9]\d+,.*"count":null,"exact":false,[^\n]*"until":"2[^\n]*\nlost,[^\n]*\n\{"time":"2[^"]+","final":true,"lost":null,"exact":true\}\n\d\d:[^\n]* lost

NAME knelld is stopped: the command gets the loss
NEEDS root
SETUP printf '#!/bin/sh\necho $KNELL_TYPE\n' >hook
SETUP chmod +x hook
SETUP cat > script <<'END'
 export KNELL_SOCKET=$PWD/k.sock
 # Again if knell ended before the daemon did.
 for ((alive = 0; !alive; )); do
 knelld 2>log & daemon=$!
 until knell status >up 2>&1; do sleep 0.02; done
 : >err
 knell watch -e exit --via daemon --pid $$ -d 1s --exec ./hook >out 2>err & k=$!
 until_listens err
 kill $daemon; wait $daemon
 kill -0 $k && alive=1
 wait $k
 done
 cat out
 END
RUN bash script
EXPECT \Alost\n\Z

NAME the command inherits variables that are not those of an event
SETUP printf '#!/bin/sh\nenv | grep ^KNELL_ | grep -E "_(SOCKET|OTHER|LOST|SKIPPED)="\n' >hook
SETUP chmod +x hook
RUN export KNELL_OTHER=kept KNELL_LOST=5 KNELL_SKIPPED=6; (while :; do sh -c 'sleep 0.1; exit 3'; done) & knell watch -e nonzero-exit -C sh --under $! -n 1 --exec ./hook | sort
EXPECT \AKNELL_OTHER=kept\nKNELL_SOCKET=\n\Z

NAME --exec runs commands although SIGCHLD was blocked, which the commands keep
NEEDS tool:python3
TIMEOUT 60
SETUP printf 'import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})\nos.execvp(sys.argv[1], sys.argv[1:])\n' >blocks
RUN (while :; do sh -c 'sleep 0.1; exit 3'; done) & python3 blocks knell watch -e nonzero-exit -C sh --under $! -n 1 --exec grep SigBlk /proc/self/status
EXPECT ^SigBlk:\s0{11}10000$
