# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Every invalid argument: one line on standard error, nothing on standard output, status 2 (125
# where the status is a process's own), before anything is opened: it needs no connector.

NAME no command at all
RUN knell
STATUS 2
EXPECT_ERR \Aknell: [^\n]*watch, run, wait or doctor[^\n]*\n\Z
REFUSE .

NAME an unknown command
RUN knell wach
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean watch\?[^\n]*\n\Z
REFUSE .

NAME a command of a package that is not installed
SETUP mkdir alone && cp -L "$(command -v knell)" alone/knell
RUN export LD_LIBRARY_PATH=$(dirname "$(command -v knell)")/../lib PATH=/usr/bin:/bin
  alone/knell export prometheus; alone/knell fleet watch
STATUS 1
EXPECT_ERR \Aknell: knell-export is not installed; knell export needs the package knell-export: apt install knell-export\nknell: knell-fleet is not installed; knell fleet needs the package knell-fleet: apt install knell-fleet\n\Z
REFUSE .

NAME an unknown command unlike any name
RUN knell frobnicate
STATUS 2
EXPECT_ERR \Aknell: [^\n]*watch, history, run, record, wait, kill, tree, top, timeline, status, durable, doctor[^\n]*, export, fleet[^\n]*\n\Z
REFUSE .

NAME a command that shows the past names the alternative
RUN for c in journal last log; do knell $c; done
STATUS 2
EXPECT_ERR \A(knell: unknown command '\w+': [^\n]*knell history[^\n]*\n){3}\Z
REFUSE .

NAME tree: --interval and --keep are for -w
RUN knell tree --interval 1s; knell tree --keep 1s
STATUS 2
EXPECT_ERR \Aknell: --interval needs -w\nknell: --keep needs -w\n\Z
REFUSE .

NAME tree: -w and JSON
RUN knell tree -w -o json
STATUS 2
EXPECT_ERR \Aknell: -w shows a table: [^\n]*knell watch -o json\n\Z
REFUSE .

NAME tree: -w that would end at once
RUN knell tree -w -d 0
STATUS 2
EXPECT_ERR \Aknell: -d 0 would end -w at once; give a time such as 10s, or leave out -w\n\Z
REFUSE .

NAME tree: an interval that is too short
RUN knell tree -w --interval 1ms
STATUS 2
EXPECT_ERR \Aknell: --interval must be at least 100ms, not 1ms\n\Z
REFUSE .

NAME tree: a source without listening
RUN knell tree -d 0 --via bpf
STATUS 2
EXPECT_ERR \Aknell: --via sets the source of exits, but -d 0 reads no exits; use only one of them\n\Z
REFUSE .

NAME tree: predicates about an end
RUN knell tree --ended 0
STATUS 2
EXPECT_ERR \Aknell: unknown option --ended[^\n]*\n\Z
REFUSE .

NAME tree: a process that does not exist
RUN knell tree --under 4194304
STATUS 1
EXPECT_ERR \Aknell: --under: [^\n]*no process 4194304\n\Z
REFUSE .

NAME help of an unknown command
RUN knell help wach
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean watch\?[^\n]*\n\Z
REFUSE .

NAME an option of knell itself, misspelt
RUN knell --verison
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean --version\?[^\n]*\n\Z
REFUSE .

NAME an option before the command
RUN knell --quiet watch
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--quiet must come after the command[^\n]*\n\Z
REFUSE .

NAME an unknown option is refused with the nearest right one
RUN knell watch --evnts exit
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--evnts.*did you mean --events\?[^\n]*\n\Z
REFUSE .

NAME every command proposes the nearest of its options
RUN knell record --forc x; knell run --reprot x -- true; knell wait --tiemout 5 1; knell status --otuput json;
  knell doctor --verbos; knelld --chek-config
STATUS 2
EXPECT_ERR --force\?\n.*--report\?\n.*--timeout\?\n.*--output\?\n.*--verbose\?\n.*--check-config\?\n\Z
REFUSE .

NAME the name of an option in other tools
RUN knell watch --json; knell watch --name x; knell watch --limit 3
STATUS 2
EXPECT_ERR mean -o json\?\n.*mean --comm\?\n.*mean --count\?\n\Z
REFUSE .

NAME an unknown short option
RUN knell watch -Q
STATUS 2
EXPECT_ERR \Aknell: [^\n]*unknown option -Q[^\n]*\n\Z
REFUSE .

NAME an argument that is not an option
RUN knell watch exit
STATUS 2
EXPECT_ERR \Aknell: [^\n]*'exit' is not an option[^\n]*\n\Z
REFUSE .

NAME an argument that may be the value of an option
RUN knell watch exec,fork; knell watch 123; knell watch nginx; knell watch /bin/ls
STATUS 2
EXPECT_ERR mean -e exec,fork\?\n.*mean --pid 123\?\n.*mean --comm nginx\?\n.*mean --exe /bin/ls\?\n\Z
REFUSE .

NAME watch with a command
RUN knell watch -- ls
STATUS 2
EXPECT_ERR \Aknell: [^\n]*knell run -- CMD[^\n]*\n\Z
REFUSE .

NAME control bytes in an argument are not printed
RUN knell watch $'\033[31m'
STATUS 2
EXPECT_ERR \Aknell: [^\n]*\\x1b\[31m[^\n]*\n\Z
REFUSE .

NAME an option without its value
RUN knell watch -n
STATUS 2
EXPECT_ERR \Aknell: [^\n]*needs a value[^\n]*\n\Z
REFUSE .

NAME lost events of threads cannot be recovered
RUN knell watch --threads --recover
STATUS 2
EXPECT_ERR \Aknell: --recover cannot be used with --threads\n
REFUSE .

NAME a flag with a value
RUN knell watch --threads=5
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--threads takes no value[^\n]*\n\Z
REFUSE .

NAME an unknown event is refused with the nearest right one
RUN knell watch -e exti
STATUS 2
EXPECT_ERR \Aknell: [^\n]*'exti'.*did you mean 'exit'[^\n]*\n\Z
REFUSE .

NAME an empty event
RUN knell watch -e ''
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--events needs a value[^\n]*\n\Z
REFUSE .

NAME no event left
RUN knell watch -e exit,-exit
STATUS 2
EXPECT_ERR \Aknell: [^\n]*removes all events[^\n]*\n\Z
REFUSE .

NAME an unknown output
RUN knell watch -o xml
STATUS 2
EXPECT_ERR \Aknell: [^\n]*table, json or csv, not 'xml'[^\n]*\n\Z
REFUSE .

NAME an unknown column
RUN knell watch -o table=time,pdi
STATUS 2
EXPECT_ERR \Aknell: -o: unknown column 'pdi'; did you mean pid\?\n\Z
REFUSE .

NAME csv without a column for lost events
RUN knell history -o csv=pid,comm
STATUS 2
EXPECT_ERR \Aknell: -o csv=\.\.\. needs the column type or ended, which shows lost events\n\Z
REFUSE .

NAME columns of counts
RUN knell watch --by comm -o csv
STATUS 2
EXPECT_ERR \Aknell: --by cannot be used with -o csv: use table or json\n\Z
REFUSE .

NAME csv for a command without events
RUN knell tree -o csv
STATUS 2
EXPECT_ERR \Aknell: -o takes table or json, not 'csv'\n\Z
REFUSE .

NAME -n with zero
RUN knell watch -n 0
STATUS 2
EXPECT_ERR \Aknell: [^\n]*-n takes a number from 1 on, not '0'[^\n]*\n\Z
REFUSE .

NAME -n with text
RUN knell watch -n many
STATUS 2
EXPECT_ERR \Aknell: [^\n]*-n takes a number from 1 on, not 'many'[^\n]*\n\Z
REFUSE .

NAME -n with too many
RUN knell watch -n 99999999999999999999
STATUS 2
EXPECT_ERR \Aknell: [^\n]*-n takes a number from 1 on, not '99999999999999999999'[^\n]*\n\Z
REFUSE .

NAME -n with a negative number
RUN knell watch -n -1
STATUS 2
EXPECT_ERR \Aknell: [^\n]*-n takes a number from 1 on, not '-1'[^\n]*\n\Z
REFUSE .

NAME a single letter has no nearest option
RUN knell watch -v
STATUS 2
EXPECT_ERR \Aknell: unknown option -v; knell watch --help lists the options\n\Z
REFUSE .

NAME watch with the time of history
RUN for o in '-S 1h' '--since 1h' --since=1h; do knell watch $o; echo $?; done
EXPECT \A2\n2\n2\n\Z
EXPECT_ERR \A(knell: unknown option (-S|--since); did you mean knell history (-S|--since) \(events that knelld has stored\)\?\n){3}\Z

NAME -d with no time
RUN knell watch -d 0
STATUS 2
EXPECT_ERR \Aknell: [^\n]*(would end at once)[^\n]*\n\Z
REFUSE .

NAME -d with an unknown unit
RUN knell watch -d 5y
STATUS 2
EXPECT_ERR \Aknell: [^\n]*('5y'.*'y')[^\n]*\n\Z
REFUSE .

NAME -d with a negative time
RUN knell watch -d -5s
STATUS 2
EXPECT_ERR \Aknell: [^\n]*('-5s')[^\n]*\n\Z
REFUSE .

NAME -d with an empty value
RUN knell watch -d ''
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--duration needs a value[^\n]*\n\Z
REFUSE .

NAME --latency above the maximum
RUN knell watch --latency 2h
STATUS 2
EXPECT_ERR \Aknell: [^\n]*at most 60s[^\n]*\n\Z
REFUSE .

NAME --buffer that is not a size
RUN knell watch --buffer lots
STATUS 2
EXPECT_ERR \Aknell: [^\n]*'lots' is not a size[^\n]*\n\Z
REFUSE .

NAME --buffer that is too small
RUN knell watch --buffer 1
STATUS 2
EXPECT_ERR \Aknell: [^\n]*from 4K[^\n]*\n\Z
REFUSE .

NAME --details with an unknown level
RUN knell watch --details some
STATUS 2
EXPECT_ERR \Aknell: [^\n]*status, names or full[^\n]*\n\Z
REFUSE .

NAME --by an unknown key
RUN knell watch --by com
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean comm\?[^\n]*\n\Z
REFUSE .

NAME --by a key twice
RUN knell watch --by comm,uid,comm
STATUS 2
EXPECT_ERR \Aknell: [^\n]*comm twice[^\n]*\n\Z
REFUSE .

NAME --interval without --by
RUN knell watch --interval 1s
STATUS 2
EXPECT_ERR \Aknell: [^\n]*needs --by[^\n]*\n\Z
REFUSE .

NAME --interval too short
RUN knell watch --by comm --interval 1us
STATUS 2
EXPECT_ERR \Aknell: [^\n]*at least 10ms[^\n]*\n\Z
REFUSE .

NAME --speed without --read
RUN knell watch --speed 2
STATUS 2
EXPECT_ERR \Aknell: [^\n]*needs --read[^\n]*\n\Z
REFUSE .

NAME --via daemon without a daemon
RUN KNELL_SOCKET=/nowhere/knell.sock knell watch --via daemon
STATUS 3
EXPECT_ERR \Aknell: knelld is not running: there is no /nowhere/knell\.sock; (on the host: )?systemctl enable --now knelld\.socket[^\n]*\n\Z
REFUSE .

NAME --via daemon with an empty KNELL_SOCKET
RUN KNELL_SOCKET= knell watch --via daemon
STATUS 3
EXPECT_ERR \Aknell: [^\n]*KNELL_SOCKET is empty[^\n]*\n\Z
REFUSE .

NAME --via pidfd, which needs PIDs
RUN knell watch --via pidfd
STATUS 2
EXPECT_ERR \Aknell: [^\n]*knell wait[^\n]*\n\Z
REFUSE .

NAME --via an unknown source
RUN knell watch --via conector
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean connector\?[^\n]*\n\Z
REFUSE .

NAME --longer with events that are no exits
RUN knell watch -e exec --longer 5s
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--longer.*exec.*add exit[^\n]*\n\Z
REFUSE .

NAME --ended with events that are no exits
RUN knell watch -e fork,exec --ended 1
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--ended matches exits only[^\n]*\n\Z
REFUSE .

NAME --longer that is not a time
RUN knell watch --longer abc
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--longer: 'abc'[^\n]*\n\Z
REFUSE .

NAME --exit-code 0 of non-zero exits
RUN knell watch -e nonzero-exit --exit-code 0
STATUS 2
EXPECT_ERR \Aknell: [^\n]*use -e exit[^\n]*\n\Z
REFUSE .

NAME --exit-code that is a signal
RUN knell watch --exit-code SIGKILL
STATUS 2
EXPECT_ERR \Aknell: [^\n]*numbers from 0 to 255[^\n]*\n\Z
REFUSE .

NAME --exit-code beyond 255
RUN knell watch --exit-code 1,300
STATUS 2
EXPECT_ERR \Aknell: [^\n]*not '300'[^\n]*\n\Z
REFUSE .

NAME --signal with an unknown name, with the nearest right one
RUN knell watch --signal SIGKIL
STATUS 2
EXPECT_ERR \Aknell: [^\n]*did you mean 'SIGKILL'[^\n]*\n\Z
REFUSE .

NAME --signal with a range, which only exit codes have
RUN knell watch --signal 1-9
STATUS 2
EXPECT_ERR \Aknell: --signal takes signals such as SIGKILL, 9 or any, not '1-9'\n\Z
REFUSE .

NAME --signal with an invalid number
RUN knell watch --signal 99
STATUS 2
EXPECT_ERR \Aknell: [^\n]*no signal 99[^\n]*\n\Z
REFUSE .

NAME --pid that is not a pid
RUN knell watch --pid abc
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--pid: [^\n]*\n\Z
REFUSE .

NAME --under a PID that does not exist
RUN knell watch --under 4194304
STATUS 1
EXPECT_ERR \Aknell: [^\n]*no process 4194304[^\n]*\n\Z
REFUSE .
NEEDS connector

NAME --pid of a PID that does not exist is the same error
RUN knell watch --pid 4194304; a=$?; knell record --pid 1,4194304 -; echo $a $?
EXPECT \A1 1\n\Z
EXPECT_ERR \A(knell: --pid: there is no process 4194304\n){2}\Z

NAME --user with an unknown name
RUN knell watch --user nosuchuser
STATUS 2
EXPECT_ERR \Aknell: [^\n]*'nosuchuser'[^\n]*\n\Z
REFUSE .

NAME --exec without a command
RUN knell watch -e exec --exec
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--exec needs a command[^\n]*\n\Z
REFUSE .

NAME --exec a command that does not exist
RUN knell watch --exec /nosuch/command
STATUS 2
EXPECT_ERR \Aknell: [^\n]*no such file[^\n]*\n\Z
REFUSE .

NAME --exec a command that is not in PATH
RUN knell watch --exec nosuchcommand
STATUS 2
EXPECT_ERR \Aknell: [^\n]*not found in PATH[^\n]*\n\Z
REFUSE .

NAME --exec a file that is not a program
RUN knell watch --exec /etc/passwd
STATUS 2
EXPECT_ERR \Aknell: [^\n]*not an executable file[^\n]*\n\Z
REFUSE .

NAME --exec with --by
RUN knell watch --by comm --exec true
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--by and --exec cannot be used together[^\n]*\n\Z
REFUSE .

NAME an em dash instead of two hyphens
RUN knell watch —events exit;
STATUS 2
EXPECT_ERR \A[^\n]*did you mean --events\?\n\Z
REFUSE .

NAME record into a folder
RUN knell record . ; knell record -f .
STATUS 1
EXPECT_ERR \A(knell: \. is a directory: give the path of a file\n){2}\Z
NEEDS connector

NAME record into two files
RUN knell record a b
STATUS 2
EXPECT_ERR \Aknell: unexpected argument 'b'; knell record --help lists the options\n\Z

NAME run with an option whose value is missing
RUN knell run --report -- true; s=$?; ls; exit $s
STATUS 125
EXPECT_ERR \Aknell: --report needs a value\n\Z
REFUSE .

NAME run without a command
RUN knell run --
STATUS 125
EXPECT_ERR \Aknell: [^\n]*missing command[^\n]*\n\Z
REFUSE .

NAME run with an unknown option
RUN knell run --reprot x -- true
STATUS 125
EXPECT_ERR \Aknell: [^\n]*did you mean --report\?[^\n]*\n\Z
REFUSE .

NAME run with --all and -e
RUN knell run --all -e exec -- true
STATUS 125
EXPECT_ERR \Aknell: [^\n]*--all is short for[^\n]*\n\Z
REFUSE .

NAME run with a report that cannot be written
RUN knell run --report /nosuch/file -- true
STATUS 125
EXPECT_ERR \Aknell: [^\n]*No such file[^\n]*\n\Z
REFUSE .

NAME wait without arguments
RUN knell wait
STATUS 125
EXPECT_ERR \Aknell: [^\n]*knell wait PID[^\n]*\n\Z
REFUSE .

NAME wait for a text
RUN knell wait init
STATUS 125
EXPECT_ERR \Aknell: [^\n]*'init' is not a PID[^\n]*\n\Z
REFUSE .

NAME wait for 0
RUN knell wait 0
STATUS 125
EXPECT_ERR \Aknell: [^\n]*'0' is not a PID[^\n]*\n\Z
REFUSE .

NAME wait with an invalid time-out
RUN knell wait --timeout soon 1
STATUS 125
EXPECT_ERR \Aknell: [^\n]*--timeout: 'soon'[^\n]*\n\Z
REFUSE .

NAME kill without arguments
RUN knell kill
STATUS 2
EXPECT_ERR \Aknell: missing process; use knell kill PID...\n\Z
REFUSE .

NAME kill of a text, of 0 and of a process group
RUN for p in init 0 -1; do knell kill -- $p; echo $?; done
EXPECT \A2\n2\n2\n\Z
EXPECT_ERR \Aknell: 'init' is not a PID[^\n]*\nknell: '0' is not a PID[^\n]*\nknell: '-1' is not a PID[^\n]*\n\Z

NAME kill with a signal as kill(1) takes it
RUN for s in -TERM -SIGKILL -15; do knell kill $s 4194304; echo $?; done
EXPECT \A2\n2\n2\n\Z
EXPECT_ERR \A(knell: unknown option -(TERM|SIGKILL|15); a signal is given with -s: -s \2\n){3}\Z

NAME kill with a signal that does not exist
RUN for s in 0 65 TREM SIG; do knell kill -s $s 4194304; echo $?; done
EXPECT \A2\n2\n2\n2\n\Z
EXPECT_ERR \A(knell: --signal: there is no signal '\w+'\n){4}\Z

NAME kill with an invalid time-out
RUN knell kill --timeout soon 1
STATUS 2
EXPECT_ERR \Aknell: [^\n]*--timeout: 'soon'[^\n]*\n\Z
REFUSE .

NAME doctor with an argument
RUN knell doctor connector
STATUS 2
EXPECT_ERR \Aknell: [^\n]*'connector' is not an option[^\n]*\n\Z
REFUSE .

NAME a full standard error changes no status
RUN knell bogus 2>/dev/full
STATUS 2

NAME help that exceeds the file size limit is like a full disk
RUN (ulimit -f 0; knell --help 2>&1 >out; echo $?) | cat
EXPECT ^knell: cannot write standard output: File too large$
EXPECT ^1$
