# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME without a daemon it says how to start it
RUN KNELL_SOCKET=/nowhere/knell.sock knell status
STATUS 3
EXPECT_ERR \Aknell: .*/nowhere/knell.sock.*systemctl enable --now knelld.socket.*\n\Z
REFUSE .

NAME an unknown format is refused
RUN knell status -o xml
STATUS 2
EXPECT_ERR table, json or prometheus

NAME the status of a daemon in three formats
NEEDS connector
NEEDS root
NEEDS tool:python3
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log &
  until knell status >up 2>&1; do sleep 0.02; done;
  knell status && knell status -o json | python3 -m json.tool && knell status -o prometheus; kill %1; wait
EXPECT ^knelld \d+\.\d+\.\d+, up 
EXPECT ^no listeners$
EXPECT ^    "uptime_s": 
EXPECT ^# TYPE knell_exits_total counter$
EXPECT ^knell_listeners\{protocol="native"\} 0$

NAME Prometheus output has classes, codes on request, and names where they are counted
NEEDS connector
NEEDS root
SETUP printf '#!/bin/sh\nexit 93\n' >mine && chmod +x mine && echo 'count_by = ["comm"]' >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log &
  until knell status >up 2>&1; do sleep 0.02; done;
  until knell status -o prometheus --codes | grep 'comm="mine"'; do ./mine; sleep 0.02; done;
  knell status -o prometheus | grep 'comm="mine"'; kill %1; wait
EXPECT \Aknell_exits_total\{unit="[^"]*",ended="exit 93",comm="mine"\} \d+\nknell_exits_total\{unit="[^"]*",ended="exit nonzero",comm="mine"\} \d+\n\Z

NAME codes are for Prometheus
RUN knell status --codes
STATUS 2
EXPECT_ERR \Aknell: [^\n]*-o prometheus[^\n]*\n\Z

NAME a listener has a line, and another user does not see it
NEEDS connector
NEEDS root
NEEDS tool:setpriv
SETUP chmod 755 . .. && cp $(type -P false) mine
# The first event that it receives shows that it listens.
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log &
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch -e nonzero-exit -C mine -o json >events &
  until [ -s events ]; do ./mine; sleep 0.02; done;
  knell status; setpriv --reuid 65534 --regid 65534 --clear-groups knell status | sed 's/^/nobody: /'; kill %2 %1; wait
EXPECT ^ID +PID +USER +COMMAND +PROTOCOL +EVENTS
EXPECT ^\d+ +\d+ +root +knell +native +nonzero-exit +\d+ +0 +0 +everything +comm=mine$
EXPECT ^nobody: no listeners$
REFUSE ^nobody: .*comm=mine
