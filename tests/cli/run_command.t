# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
NEEDS connector

NAME reports what failed under it and under which parent
SETUP printf '#!/bin/sh\nsh -c "sleep 0.05; exit 3"\nsh -c "sleep 0.05; exit 0"\nexit 2\n' >build
SETUP chmod +x build
RUN knell run -- ./build
STATUS 2
REFUSE .
EXPECT_ERR ^knell: exit 3   \d+\.\d+s  pid \d+  sh <- build .* sh -c 'sleep 0\.05; exit 3'$
EXPECT_ERR ^knell: \./build: exit 2 after \d+\.\d+s; 5 processes, 1 failed under it, 0 lost$
REFUSE_ERR exit 0

NAME a command that succeeds
RUN knell run true
EXPECT_ERR \Aknell: true: exit 0 after \d+\.\d+s; 1 process, 0 failed under it, 0 lost\n\Z

NAME a signal ends it with 128 and the signal
RUN knell run sh -c 'kill -TERM $$'
STATUS 143
EXPECT_ERR ^knell: sh: SIGTERM after

NAME arguments of the command are not parsed
RUN knell run -o table echo -e --report -- x
EXPECT ^--report -- x$

NAME a command that does not exist
RUN knell run -- nosuchcommand
STATUS 127
EXPECT_ERR \Aknell: cannot run nosuchcommand: No such file or directory\n\Z

NAME a command that is not a program
RUN knell run -- /etc/passwd
STATUS 126
EXPECT_ERR \Aknell: cannot run /etc/passwd: Permission denied\n\Z

NAME standard input, output and error are the command's
RUN echo in | knell run -- sh -c 'cat; echo err >&2'
EXPECT \Ain\n\Z
EXPECT_ERR ^err$

NAME --all reports successes too
RUN knell run --all -- sh -c '/bin/true; /bin/true; exit 0'
EXPECT_ERR ^knell: exit 0 .* true <- sh 

NAME a report in a file, as JSON
RUN knell run --report report -o json -- sh -c 'sh -c "sleep 0.05; exit 3"; exit 4'; s=$?; cat report; exit $s
STATUS 4
EXPECT ^\{"type":"exit",.*"exit_code":3,.*"ancestry":"sh <- sh"\}$
EXPECT ^\{"type":"summary","command":"sh","wait_status":1024,"exit_code":4,"signal":null,.*"processes":3,"failed":1,"still_running":0,"lost":0,"lost_exact":true,"via":"[a-z]+","privileges_withheld":null,"not_followed":null\}$
REFUSE_ERR .

NAME processes that still run are reported
RUN knell run -- sh -c 'sleep 30 & exit 0'
EXPECT_ERR 0 lost; 1 still running$

NAME Ctrl-C is handled by the command
SETUP printf '#!/bin/bash\ntrap "exit 5" INT\necho ready\nwhile :; do sleep 0.05; done\n' >patient
SETUP chmod +x patient
SETUP cat > script <<'END'
 set -m
 knell run -- ./patient >out & k=$!
 until_says out ready
 kill -INT -- -$k; wait $k; echo status $?
 END
RUN bash script
EXPECT ^status 5$
EXPECT_ERR \./patient: exit 5 after

NAME SIGTERM is passed on
SETUP printf '#!/bin/bash\ntrap "exit 6" TERM\necho ready\nwhile :; do sleep 0.05; done\n' >patient
SETUP chmod +x patient
SETUP cat > script <<'END'
 knell run -- ./patient >out & k=$!
 until_says out ready
 kill -TERM $k; wait $k; echo status $?
 END
RUN bash script
EXPECT ^status 6$

NAME a full disk loses the report, not the command's status
RUN knell run --report /dev/full -- sh -c 'exit 4'
STATUS 4
EXPECT_ERR cannot write /dev/full: No space left on device

NAME where nothing can be observed, nothing is run
NEEDS root
NEEDS tool:unshare
# Without a fork after unshare -p, the tracer would be in another pid namespace.
RUN unshare -n -p setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell run -- echo ran
STATUS 125
REFUSE .
EXPECT_ERR \Aknell: [^\n]*network namespace[^\n]*cannot trace: [^\n]*new pid namespace[^\n]*\n\Z

NAME a full standard error loses the report, not the command's status
RUN knell run -- sh -c 'exit 5' 2>/dev/full
STATUS 5

NAME a report that exceeds the file size limit is like a full disk
RUN (ulimit -f 0; knell run --report report -- sh -c 'exit 4' 2>&1; echo $?) | cat
EXPECT cannot write report: File too large
EXPECT ^4$

NAME signals of failing writes are unchanged for the command
RUN [ "$(grep SigIgn /proc/self/status)" = "$(knell run -- grep SigIgn /proc/self/status)" ] && echo same
EXPECT ^same$

NAME a signal ends it while a fifo has no reader
SETUP mkfifo report timeline.svg
RUN for file in '--report report' '--timeline timeline.svg'; do timeout -k 5 1 knell run $file -- true; echo $?; done
EXPECT \A124\n124\n\Z
