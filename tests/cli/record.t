# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Recorded events are read back; an unreadable recording gives an error of one line. Recordings are
# of the case's own children.

NAME a recording shows the recorded events, twice the same
NEEDS connector
SETUP cat > script <<'END'
 knell record --under $$ r.knell 2>err & k=$!
 until_listens err
 /bin/true; sh -c 'exit 7'; sh -c 'kill -SEGV $$' 2>/dev/null
 # The last exit: once it can be read from the recording, all earlier events can be.
 sh -c 'exit 99'
 until_recorded r.knell '"exit_code":99'
 kill -INT $k; wait $k; echo status $?
 END
RUN bash script; knell watch --read r.knell -o json >1; knell watch --read r.knell -o json >2; cmp 1 2 && echo same; grep -c '"type":"exit"' 1; jq -r 'select(.type=="exit" and .comm=="sh") | "\(.exit_code) \(.signal) \(.args|length) \(.via)"' 1; cat err >&2; stat -c %a r.knell
EXPECT ^status 0$
EXPECT ^same$
EXPECT ^7 null 3 recording$
EXPECT ^null SIGSEGV 3 recording$
EXPECT ^99 null 3 recording$
EXPECT ^600$
EXPECT_ERR ^recording all events of processes with --under \d+ to r\.knell, via (bpf|connector); Ctrl-C ends it$
EXPECT_ERR ^ \d+ events recorded, \d+\.\d KiB, 0 lost$

NAME masks and predicates narrow a recording as they narrow live events
NEEDS connector
SETUP knell record --under $$ r.knell 2>err & k=$!; until_listens err; for i in 1 2; do (exit 4); /bin/true; sh -c 'exit 3'; done; until_recorded r.knell '"exit_code":3' 2; kill -INT $k; wait $k
RUN knell watch --read r.knell -e nonzero-exit -C sh --exit-code 3 -n 2
EXPECT exit 3 +sh -c 'exit 3'
REFUSE exit 4
REFUSE true
EXPECT_ERR ^non-zero exits of processes with --comm sh --exit-code 3, from r\.knell: recorded \d{4}-\d\d-\d\d \d\d:\d\d:\d\d via (bpf|connector), Linux \S+ \S+, of processes with --under \d+$
EXPECT_ERR ^ 2 shown, 0 lost; most: exit 3 sh 2$

NAME --under uses the births in a recording
NEEDS connector
SETUP knell record --under $$ r.knell 2>err & k=$!; until_listens err; bash -c 'echo $$ >pid; sh -c "sh -c \"exit 5\"; exit 6"; exit 0'; sh -c 'exit 8'; until_recorded r.knell '"exit_code":8'; kill -INT $k; wait $k
RUN knell watch --read r.knell -e nonzero-exit --under $(cat pid) -o json | jq -r .exit_code
EXPECT \A5\n6\n\Z

NAME counts, and a command for each event
NEEDS connector
SETUP knell record --under $$ r.knell 2>err & k=$!; until_listens err; sh -c 'exit 3'; sh -c 'exit 3'; until_recorded r.knell '"exit_code":3' 2; kill -INT $k; wait $k
RUN knell watch --read r.knell -e exit --by ended; knell watch --read r.knell -e exit --exit-code 3 -n 2 --exec sh -c 'echo hook $KNELL_EXIT_CODE'
EXPECT \d+ +exit 3$
EXPECT ^hook 3$

NAME through pipes
NEEDS connector
RUN (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit --exit-code 3 --under $! -n 3 - | knell watch --read - -o json | wc -l
EXPECT ^3$

NAME at speed 1 it takes as long as the recording, at speed 2 half of that
NEEDS connector
# The exits are 400 ms apart or more, and none may be shown early.
SETUP knell record -e nonzero-exit --exit-code 3 --under $$ -n 3 r.knell 2>err & k=$!; until_listens err; for i in 1 2 3; do sh -c 'sleep 0.4; exit 3'; done; wait $k
RUN knell watch --read r.knell -o json >1; b=$(date +%s%N); knell watch --read r.knell --speed 2 -o json >2; c=$(date +%s%N); knell watch --read r.knell --speed 1 -o json >3; d=$(date +%s%N); cmp 1 2 && cmp 1 3 && echo same; echo $(( (c-b)/1000000 >= 380 )) $(( (d-c)/1000000 >= 780 ))
EXPECT ^same$
EXPECT ^1 1$

NAME events that a recording does not have are reported
NEEDS connector
SETUP (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit -n 1 r.knell
RUN knell watch --read r.knell -e exit,fork -o json | jq -r .type; knell watch --read r.knell -e fork; echo $?
EXPECT ^exit\n2$
EXPECT_ERR ^knell watch: the recording r\.knell has no fork,exit; it has nonzero-exit$
EXPECT_ERR ^knell: -e fork: the recording r\.knell has no such events; it has nonzero-exit$

NAME --rotate begins new files, and no event is lost in between
NEEDS connector
SETUP cat > script <<'END'
 echo earlier >r.knell
 knell record -e exit --under $$ --rotate 4K --keep 2 r.knell 2>err & k=$!
 until_listens err
 # Until there were three more files.
 for ((n = 1; ; n++)); do
 [[ $(head -c 7 r.knell.2 2>/dev/null) == earlier ]] && seen=1
 [[ -e r.knell.2 && -n $seen && $(head -c 7 r.knell.2) != earlier ]] && break
 sh -c 'exit 3'
 done
 kill -INT $k; wait $k; echo status $?
 END
RUN bash script; ls r.knell*; cat r.knell.1 >/dev/null; for f in r.knell.2 r.knell.1 r.knell; do knell watch --read $f -e exit -o json >>all || echo failed $f; done; stat -c %a r.knell.1; awk -F'"mono_ns":' '{split($2, n, ","); if (n[1] < last) print "out of order"; last = n[1]}' all
EXPECT \Astatus 0\nr\.knell\nr\.knell\.1\nr\.knell\.2\n600\n\Z

NAME --rotate and --keep with invalid values
RUN knell record --rotate 1K r.knell; knell record --rotate 8K -; knell record --keep 3 r.knell; knell record --rotate 8K --keep 0 r.knell
STATUS 2
EXPECT_ERR \Aknell: --rotate takes a size[^\n]*'1K'\nknell: --rotate needs a file\nknell: --keep needs --rotate SIZE\nknell: --keep takes a number from 1 to 1000, not '0'\n\Z

NAME a file is not overwritten
SETUP echo precious >r.knell
RUN knell record r.knell
STATUS 1
EXPECT_ERR \Aknell: r\.knell exists already; --force overwrites it, --append adds to it\n\Z

NAME a file is overwritten with -f
NEEDS connector
SETUP echo precious >r.knell
RUN (while :; do sh -c 'exit 3'; done) & knell record --force -n 1 -e nonzero-exit r.knell; head -c 6 r.knell | tail -c 5
EXPECT ^knell$

NAME a folder that is not there
RUN knell record /nonexistent/r.knell
STATUS 1
EXPECT_ERR \Aknell: /nonexistent/r\.knell: No such file or directory\n\Z

NAME record without a file
RUN knell record
STATUS 2
EXPECT_ERR \Aknell: missing FILE; use knell record \[OPTIONS\] FILE\n\Z

NAME a full disk gives one line, and a status
NEEDS connector
RUN (while :; do /bin/true; done) & knell record --force /dev/full
STATUS 1
EXPECT_ERR ^knell: /dev/full: cannot write the recording: No space left on device$

NAME the reader of a recording closes the pipe
NEEDS connector
RUN (while :; do /bin/true; done) & knell record - | head -c 100 >/dev/null; echo ${PIPESTATUS[0]}
EXPECT ^0$

NAME a recording that does not exist
RUN knell watch --read /nonexistent
STATUS 1
EXPECT_ERR \Aknell: cannot open the recording /nonexistent: No such file or directory\n\Z

NAME a folder is no recording
RUN knell watch --read /
STATUS 1
EXPECT_ERR \Aknell: cannot read /: Is a directory\n\Z

NAME a file that is not a recording
SETUP echo hello >text; : >empty
RUN knell watch --read text; echo $?; knell watch --read empty -o json; echo $?
EXPECT \A1\n1\n\Z
EXPECT_ERR ^knell: text is not a recording of knell: create one with knell record$
EXPECT_ERR ^knell: empty is empty, not a recording of knell$

NAME events written before a crash are read
NEEDS connector
SETUP cat > script <<'END'
 knell record -e nonzero-exit --under $$ r.knell 2>err & k=$!
 until_listens err
 sh -c 'exit 3'
 until (( $(stat -c %s r.knell) > 400 )); do sleep 0.02; done
 kill -KILL $k; wait $k; echo killed
 END
RUN bash script; knell watch --read r.knell -o json | jq -r .exit_code; knell watch --read r.knell -o json >/dev/null; echo $?
EXPECT ^3$
EXPECT ^1$
EXPECT_ERR ^knell: r\.knell ends early, after 1 events, at byte \d+: the recorder was interrupted, or the file was truncated$

NAME damage is detected, events before it are shown
NEEDS connector
SETUP knell record -e nonzero-exit --exit-code 3 --under $$ -n 3 r.knell 2>err & k=$!; until_listens err; for i in 1 2 3; do sh -c 'exit 3'; until_recorded r.knell exit $i; done; wait $k; printf X | dd of=r.knell bs=1 seek=$(( $(stat -c %s r.knell) - 200 )) conv=notrunc status=none
RUN knell watch --read r.knell -o json | jq -r .exit_code; exit ${PIPESTATUS[0]}
STATUS 1
EXPECT \A3\n3\n\Z
EXPECT_ERR ^knell: r\.knell is corrupt at byte \d+, after 2 good events: the rest is not shown$

NAME options that cannot be used with a recording
RUN for flag in '--via bpf' '--latency 1ms' --threads '--args 4K' '--buffer 1M' '--details names'; do knell watch --read r.knell $flag; done; knell watch --speed 2; for speed in 0 -1 fast 1x nan 1e9; do knell watch --read r.knell --speed=$speed; done; echo $?
EXPECT ^2$
EXPECT_ERR ^knell: --via cannot be used with --read$
EXPECT_ERR ^knell: --speed needs --read FILE$
EXPECT_ERR ^knell: --speed takes max, or a number such as 1, 10 or 0\.5, not 'nan'$
EXPECT_ERR ^knell: --speed takes max, or a number such as 1, 10 or 0\.5, not '1e9'$

NAME a pipe that is not read does not delay the end past its time
NEEDS connector
SETUP mkfifo p
# In the first run the pipe is full from the start; in the second it has room for the header.
RUN exec 9<>p; fill() { for n in 4k 1; do dd if=/dev/zero of=p bs=$n oflag=nonblock status=none 2>/dev/null; done; }; fill
    (while :; do /bin/true; done) &
    knell record -d 1s - >p 9<&-; echo $?
    dd bs=4k count=1 <&9 status=none >/dev/null
    knell record -d 1h - >p 2>err & k=$!; until_listens err; fill; kill -TERM $k; wait $k; echo $?; cat err >&2
EXPECT \A1\n1\n\Z
EXPECT_ERR ^knell: standard output: its reader is not reading; the recording ends here$

NAME a recording that does not begin
SETUP mkfifo open p
RUN exec 8<>open; knell watch --read - -d 300ms <open; echo $?; knell watch --read p -d 300ms; echo $?; knell record -f -d 300ms p; echo $?
EXPECT \A0\n0\n0\n\Z

NAME recordings one after the other are shown
NEEDS connector
SETUP (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit --exit-code 3 --under $! -n 2 r.knell; cat r.knell r.knell >two.knell
RUN knell watch --read two.knell -o json | jq -c '[.seq,.exit_code]'; exit ${PIPESTATUS[0]}
EXPECT \A\[1,3\]\n\[2,3\]\n\[3,3\]\n\[4,3\]\n\Z

NAME --append records after what is there, also after a crash
NEEDS connector
SETUP (while :; do sh -c 'exit 3'; done) & knell record -a -e nonzero-exit --exit-code 3 --under $! -n 2 r.knell && truncate -s -1 r.knell && knell record --append -e nonzero-exit --exit-code 3 --under $! -n 2 r.knell && knell record --append -e nonzero-exit --exit-code 3 --under $! -n 1 r.knell
RUN knell watch --read r.knell -o csv=type; stat -c %a r.knell; knell record --append -e exec -n 1 r.knell; echo status $?
EXPECT \Atype\n(exit\n){5}600\nstatus 1\n\Z
EXPECT_ERR ^knell: r\.knell: the recording has events of other types

NAME --append where another command records, or to a file that is no recording
NEEDS connector
SETUP cat > script <<'END'
 echo text >t.knell
 knell record -e exit --under $$ r.knell 2>err & k=$!
 until_listens err
 knell record --append -e exit -n 1 r.knell; echo $?
 kill -INT $k; wait $k; echo $?
 knell record --append -e exit -n 1 t.knell; echo $?; cat t.knell
 END
RUN bash script
EXPECT \A1\n0\n1\ntext\n\Z
EXPECT_ERR ^knell: r\.knell: another knell record writes to it\nknell: t\.knell: [^\n]*is not a recording of knell

NAME --size ends it
NEEDS connector
RUN (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit --under $! --size 16K r.knell && [ $(stat -c %s r.knell) -ge 16384 ] && knell watch --read r.knell -o csv=type | sort | uniq -c
EXPECT \A +\d+ exit\n +1 type\n\Z

NAME --append and --size with other options
RUN knell record --append -f r.knell; knell record --append -; knell record --size 1K r.knell; knell record --size 8K --rotate 8K r.knell
STATUS 2
EXPECT_ERR \Aknell: --append cannot be used with --force\nknell: --append needs a file\nknell: --size takes a size[^\n]*\nknell: --size cannot be used with --rotate\n\Z

NAME data appended to a recording is reported, not shown
NEEDS connector
SETUP (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit --exit-code 3 --under $! -n 2 r.knell; (cat r.knell; echo more) >two.knell
RUN knell watch --read two.knell -o json | jq -r .exit_code; exit ${PIPESTATUS[0]}
STATUS 1
EXPECT \A3\n3\n\Z
EXPECT_ERR ^knell: two\.knell has more data after the end of the recording, at byte \d+: that data is not shown$

NAME when overwritten it is readable by its owner only, and a link is not followed
NEEDS connector
SETUP echo precious >other; ln -s other link; touch r.knell; chmod 644 r.knell
RUN (while :; do sh -c 'exit 3'; done) & knell record -f -n 1 -e nonzero-exit r.knell; stat -c %a r.knell; knell record -f -n 1 link; echo $?; cat other
EXPECT \A600\n1\nprecious\n\Z
EXPECT_ERR ^knell: link is a symbolic link: give the path of its target$

NAME predicates that can never hold, and ancestors that are not in it
NEEDS connector
SETUP knell record -e exec --under $$ -n 3 r.knell & k=$!; while kill -0 $k 2>/dev/null; do /bin/true; done; wait $k
RUN knell watch --read r.knell --longer 1ms; echo $?; knell watch --read r.knell --under 1 -o json >/dev/null; echo $?
EXPECT \A2\n0\n\Z
EXPECT_ERR ^knell: --longer matches exits only, but -e exec selects none: add exit or nonzero-exit$
EXPECT_ERR ^knell watch: the recording r\.knell has no forks, so --under may miss some processes$

NAME from standard input at its offset, also another user's file
NEEDS connector root
SETUP (while :; do sh -c 'exit 3'; done) & knell record -e nonzero-exit --exit-code 3 --under $! -n 1 r.knell; (echo first; cat r.knell) >behind
RUN setpriv --reuid 65534 --regid 65534 --clear-groups knell watch --read - -o json <r.knell | jq -r .exit_code; (read -r first; knell watch --read - -o json) <behind | jq -r .exit_code
EXPECT \A3\n3\n\Z

NAME knelld is stopped: the recording ends with the loss
NEEDS root
SETUP cat > script <<'END'
 export KNELL_SOCKET=$PWD/k.sock
 knelld 2>log & daemon=$!
 until knell status >up 2>&1; do sleep 0.02; done
 knell record -e exit --via daemon --under $$ r.knell 2>err & k=$!
 until_listens err
 sh -c 'exit 3'
 until_recorded r.knell '"exit_code":3'
 kill $daemon; wait $daemon
 kill -INT $k; wait $k; echo status $?
 END
RUN bash script; cat err >&2; knell watch --read r.knell -o json | tail -1 | jq -c '[.type, .count, (.time > "2"), (.mono_ns > 0)]'
EXPECT \Astatus 0\n\["lost",null,true,true\]\n\Z
EXPECT_ERR ^ \d+ events? recorded, \d[^\n]*, an unknown number lost$
