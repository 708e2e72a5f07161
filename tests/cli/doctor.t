# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME shows each finding with a level, and what watch will use
NEEDS connector
RUN knell doctor
EXPECT \Aknell \d+\.\d+\.\d+, Linux \S+ \S+, uid \d+, 
EXPECT ^ok    connector 
EXPECT ^(ok|warn|no)  +pidfd 
EXPECT ^watch will use (bpf|the connector|knelld)
REFUSE ^note

NAME as JSON, one object a line
NEEDS tool:python3
NEEDS connector
RUN knell doctor -o json | python3 -c 'import json, sys; print([json.loads(l)["subject"] for l in sys.stdin])'
EXPECT ^\['knell', .*'connector'.*, 'watch'\]$

NAME without a reachable connector it says why, and what still works
NEEDS root
NEEDS tool:unshare
RUN export KNELL_SOCKET=; unshare -n setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell doctor
EXPECT ^no    connector .*network namespace
EXPECT ^ok    pidfd
EXPECT ^ok    ptrace +for knell run where no other source works; slower$
EXPECT ^watch has no event source here; run traces its command; wait works$

NAME where tracing is not possible either
NEEDS root
NEEDS tool:unshare
RUN export KNELL_SOCKET=; unshare -n -p setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell doctor
EXPECT ^no    ptrace +cannot trace: .*new pid namespace
EXPECT ^watch and run have no event source here

NAME without the capabilities for bpf it names them, and what watch will use instead
NEEDS connector
NEEDS root
NEEDS tool:setpriv
RUN export KNELL_SOCKET=; setpriv --bounding-set=-bpf,-perfmon,-sys_admin knell doctor
EXPECT ^no    bpf .*CAP_BPF
EXPECT ^watch will use the connector

NAME without BTF it says so
NEEDS connector
NEEDS root
NEEDS tool:unshare
RUN export KNELL_SOCKET=; unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && knell doctor'
EXPECT ^no    bpf .*BTF
EXPECT ^watch will use the connector

NAME a /proc that hides the processes of others is reported
NEEDS root
NEEDS tool:unshare
NEEDS tool:setpriv
RUN for h in 1 2; do unshare -m sh -c "mount -t proc -o hidepid=$h proc /proc; setpriv --reuid 65534 --regid 65534 --clear-groups knell doctor"; done | grep hidepid
EXPECT \A(warn  hidepid .*\n){2}\Z

NAME a /proc that hides nothing is not reported as hidepid
NEEDS root
NEEDS tool:setpriv
RUN setpriv --reuid 65534 --regid 65534 --clear-groups knell doctor
REFUSE hidepid

NAME a /proc that is not a proc file system
NEEDS root
NEEDS tool:unshare
# Without /proc the loader finds no library beside the program, so the path is given.
RUN export LD_LIBRARY_PATH=$(dirname $(ldd $(command -v knell) | awk '/libknell/ {print $3}')); unshare -m sh -c 'mount -t tmpfs none /proc; knell doctor'
EXPECT ^warn  details .*not a proc file system +mount /proc$
REFUSE hidepid

NAME without descriptors it does not blame the kernel
RUN export KNELL_SOCKET=; ulimit -n 4; knell doctor
STATUS 3
EXPECT ^no    pidfd +not checked: no descriptors left +raise the limit
EXPECT ^no    details +not checked: no descriptors left +raise the limit
EXPECT ^nothing can be observed here$
REFUSE Linux 6.15 or later|hidepid

NAME where there is no daemon it says how to start it
RUN KNELL_SOCKET=/nowhere/knell.sock knell doctor
EXPECT ^no    knelld +/nowhere/knell.sock: not there +(on the host: )?systemctl enable --now knelld.socket
REFUSE watch will use knelld

NAME in a container it says to mount the folder of the socket
NEEDS root
NEEDS tool:unshare
RUN export KNELL_SOCKET=/nowhere/knell.sock; unshare -fp --mount-proc knell doctor; unshare -fp --mount-proc knell status 2>&1
STATUS 3
EXPECT ^no    knelld +/nowhere/knell.sock: not there +on the host: systemctl enable --now knelld.socket, and mount its /nowhere here \(docker run -v /nowhere:/nowhere\)$
EXPECT ^knell: knelld is not running: there is no /nowhere/knell.sock; on the host: .* -v /nowhere:/nowhere\)$

NAME a daemon that is switched off is not reported
RUN KNELL_SOCKET= knell doctor
REFUSE knelld

NAME with a daemon it says which processes that shows, and that watch will use it
NEEDS connector
NEEDS root
NEEDS tool:setpriv
SETUP chmod 755 . ..
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log &
  until knell status >up 2>&1; do sleep 0.02; done;
  knell doctor; setpriv --reuid 65534 --regid 65534 --clear-groups knell doctor; kill %1; wait
EXPECT ^ok    knelld +version \d+\.\d+\.\d+, via (bpf|the connector); shows you all processes$
EXPECT ^ok    knelld .*; shows you your own processes$
EXPECT ^watch will use knelld$
