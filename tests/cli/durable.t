# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Each knelld has a journal of its own. `enduring` is a program that fails with status 93.

NAME a durable watch continues after the last acknowledged event, also after knelld was killed
NEEDS connector
NEEDS root
SETUP printf '#!/bin/sh\nexit 93\n' >enduring && chmod +x enduring && printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t -e nonzero-exit -C enduring -o json >one & pid=$!;
  until knell durable -o json | grep -q '"name":"t"'; do sleep 0.02; done;
  ./enduring; until_says one '"type":"exit"'; kill -INT $pid; wait $pid;
  ./enduring; knell watch --durable other -e nonzero-exit -C enduring --from oldest -n 2 >settled;
  kill -KILL $daemon; wait $daemon;
  knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  ./enduring;
  knell watch --durable t -e nonzero-exit -C enduring -o json -n 2 >two;
  grep -c '"type":"exit"' one two; grep -c '"type":"lost"' two; grep -c '"redelivered":true' two;
  kill $daemon; wait
EXPECT \Aone:1\ntwo:2\n1\n0\n\Z

NAME the second listener of a name is refused in words
NEEDS connector
NEEDS root
SETUP printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t >one 2>says & pid=$!; until_listens says;
  knell watch --durable t; echo $?; knell durable rm t; echo $?; kill -INT $pid; wait $pid;
  knell durable rm t; echo $?; knell durable; knell durable rm t; echo $?;
  kill $daemon; wait
EXPECT \A1\n1\n0\nno durable listeners\n1\n\Z
EXPECT_ERR ^knell: the durable listener 't' of uid 0 is in use by process \d+ \(knell\); one process can use it at a time$
EXPECT_ERR ^knell: the durable listener 't' of uid 0 is in use by process \d+; end it first$
EXPECT_ERR ^knell: there is no durable listener 't' of this user

NAME the names of two users are independent
NEEDS connector
NEEDS root
NEEDS tool:setpriv
SETUP chmod 755 . .. && printf '#!/bin/sh\nexit 71\n' >enduring && chmod +x enduring
SETUP printf '[journal]\npath = "%s/j.db"\n[limits]\ndurable_per_user = 1\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  nobody="setpriv --reuid 65534 --regid 65534 --clear-groups";
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t -d 10ms >one 2>&1;
  $nobody knell watch --durable t -e nonzero-exit -C enduring -n 1 -o json >two 2>says & pid=$!;
  until knell durable -o json | grep -q '"uid":65534'; do sleep 0.02; done;
  ./enduring; $nobody ./enduring; wait $pid; grep -o '"uid":[0-9]*' two; grep -o '"exit_code":71' two;
  knell durable -o json | grep -o '"name":"t","uid":[0-9]*'; $nobody knell durable -o json | grep -c .;
  $nobody knell durable rm 0:t; echo $?; $nobody knell watch --durable u; echo $?;
  knell durable rm 65534:t; echo $?; knell durable rm t;
  kill $daemon; wait
EXPECT \A"uid":65534\n"exit_code":71\n"name":"t","uid":0\n"name":"t","uid":65534\n1\n1\n1\n0\n\Z
EXPECT_ERR ^knell: only root may remove the durable listener of another user$
EXPECT_ERR ^knell: this user has 1 durable listeners, and may not have more; `knell durable rm NAME` removes one \(limits.durable_per_user in knelld.toml\)$

NAME a command that fails is tried again, then marked as failed and passed over
NEEDS connector
NEEDS root
NEEDS tool:jq
SETUP printf '#!/bin/sh\nexit 93\n' >enduring && chmod +x enduring && printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config
# The command fails for the first event. Processes below the command do not cause further
# runs.
SETUP printf '#!/bin/sh\n./enduring\n[ -e first ] || echo $KNELL_PID >first\necho $KNELL_PID >>runs\n[ $KNELL_PID != $(cat first) ]\n' >hook && chmod +x hook
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t -e nonzero-exit -C enduring --exec-jobs 1 --exec ./hook 2>says & pid=$!; until_listens says;
  ./enduring; until [ -s runs ]; do sleep 0.02; done; ./enduring;
  until [ "$(sort runs | uniq | wc -l)" = 2 ] && [ "$(wc -l <runs)" = 5 ]; do sleep 0.02; done;
  until [ "$(knell durable -o json | jq -c '[.failed, .pending, .in_flight]')" = '[1,0,0]' ]; do sleep 0.02; done;
  kill -INT $pid; wait $pid; sort runs | uniq -c | awk '{print $1}' | sort; knell status -o prometheus | grep ^knell_durable_failed;
  kill $daemon; wait
EXPECT \A1\n4\nknell_durable_failed_total\{uid="0",name="t"\} 1\n\Z

NAME a command does not run again for an event that was acknowledged
NEEDS connector
NEEDS root
NEEDS tool:jq
SETUP printf '#!/bin/sh\nexit 93\n' >enduring && chmod +x enduring && printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t -e nonzero-exit -C enduring --exec sh -c 'echo $KNELL_TYPE $KNELL_ID >>runs' 2>says & pid=$!; until_listens says;
  ./enduring; ./enduring; until [ "$(grep -c exit runs)" = 2 ]; do sleep 0.02; done;
  until [ "$(knell durable -o json | jq .pending)" = 0 ]; do sleep 0.02; done;
  kill -KILL $daemon; wait $daemon; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  ./enduring; until [ "$(grep -c exit runs)" = 3 ]; do sleep 0.02; done;
  kill -INT $pid; wait $pid; grep exit runs | sort | uniq -c | awk '{print $1}';
  kill $daemon; wait
EXPECT \A1\n1\n1\n\Z

NAME a command that hangs is ended
NEEDS connector
NEEDS root
SETUP printf '#!/bin/sh\nexit 93\n' >enduring && chmod +x enduring
# With -n the command waits for its last run before it ends.
RUN export KNELL_SOCKET=; knell watch -e nonzero-exit -C enduring -n 1 --exec-timeout 50ms --exec sleep 1000 2>says & pid=$!; until_listens says;
  ./enduring; wait $pid; cat says
EXPECT 1 run of sleep, 1 failed$

NAME a cursor that does not fit is refused with the choices
NEEDS connector
NEEDS root
SETUP printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!
  until knell status >up 2>&1; do sleep 0.02; done;
  knell watch --durable t --from k1:00000000-0000-0000-0000-000000000000:7; echo $?;
  knell watch --durable t --from yesterday; echo $?; knell durable;
  kill $daemon; wait
EXPECT \A1\n2\nno durable listeners\n\Z
EXPECT_ERR ^knell: the cursor is of another journal .*"oldest", "newest"
EXPECT_ERR ^knell: .*cursor is not one of an event

NAME wrong usage of durable listeners
RUN knell watch --from oldest; knell watch --durable t --threads; knell watch --durable t --by comm; knell watch --durable t --read f;
  knell watch --exec-jobs 2; knell watch --durable t --exec-limit 2 --exec true; knell watch --exec-jobs 0 --exec true;
  knell watch --durable t --via bpf; knell durable rm; knell durable show; knell durable list t;
  knell durable rm 'a b'
STATUS 2
EXPECT_ERR ^knell: --from needs --durable NAME$
EXPECT_ERR ^knell: --durable cannot be used with --threads$
EXPECT_ERR ^knell: --durable cannot be used with --by
EXPECT_ERR ^knell: --durable cannot be used with --read$
EXPECT_ERR ^knell: --exec-jobs needs --exec CMD ARG...$
EXPECT_ERR ^knell: --exec-limit cannot be used with --durable
EXPECT_ERR ^knell: --exec-jobs takes a number from 1 to 1024, not '0'$
EXPECT_ERR ^knell: --durable needs knelld
EXPECT_ERR ^knell: rm takes the name of one durable listener$
EXPECT_ERR ^knell: durable takes list, or rm NAME, not 'show'$
EXPECT_ERR ^knell: list takes no name; it lists all durable listeners$
EXPECT_ERR ^knell: the name of a durable listener must be 1 to 64

NAME without a daemon, the error of a durable listener says how to start knelld
RUN KNELL_SOCKET=/nowhere/knell.sock knell watch --durable t
STATUS 3
EXPECT_ERR \Aknell: knelld is not running: there is no /nowhere/knell.sock; (on the host: )?systemctl enable --now knelld.socket
