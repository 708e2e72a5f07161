# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# make_journal creates a journal with exits of 72, 5, 4, 3, 2 and 1 hours ago.

NAME history shows all events of a journal as a table with the days
SETUP make_journal j.db
RUN knell history --journal j.db
EXPECT_ERR \Aall events of all processes, from j\.db, to which no knelld writes\n
EXPECT ^TIME +PID
EXPECT (?s)^\d{4}-\d\d-\d\d\n[\d:.]+ +11 .*^\d{4}-\d\d-\d\d\n[\d:.]+ +12 .* 16 
EXPECT SIGKILL +sleep
EXPECT_ERR ^ 6 shown, 0 lost; most: exit 1 cron 3,

NAME history shows a window of time
SETUP make_journal j.db
RUN knell history --journal j.db -S 4h30m -U '90m ago' -o json | jq -c .pid
NEEDS tool:jq
EXPECT \A13\n14\n15\n\Z

NAME history as csv
SETUP make_journal j.db
RUN knell history --journal j.db -n 2 -C grep -o csv=pid,ended
EXPECT \Apid,ended\n13,exit \d+\n16,exit \d+\n\Z

NAME history tests events and predicates
SETUP make_journal j.db
RUN knell history --journal j.db -S 6h -e nonzero-exit -C grep --ended 1 -o json | jq -c '[.seq, .pid]'
NEEDS tool:jq
EXPECT \A\[2,12\]\n\[6,16\]\n\Z

NAME history shows the last events that match
SETUP make_journal j.db
RUN knell history --journal j.db -n 2 -C grep -o json | jq -c .pid
NEEDS tool:jq
EXPECT \A13\n16\n\Z

NAME history counts
SETUP make_journal j.db
RUN knell history --journal j.db -e nonzero-exit --by comm -o json
EXPECT ^\{"time":"[^"]+","final":true,"by":\{"comm":"grep"\},"count":3,"new":3\}$
EXPECT "by":\{"comm":"sleep"\},"count":1

NAME history follows
SETUP make_journal j.db
RUN knell history --journal j.db -f -o json >out & pid=$!; until_says out '"pid":16'; kill -INT $pid; wait $pid
  grep -c . out
EXPECT \A6\n\Z

NAME history -b leaves out events of earlier boots
SETUP make_journal j.db
RUN knell history --journal j.db -b -o json; knell history --journal j.db -b
EXPECT_ERR shown

NAME history ends quietly when the pipe is closed
SETUP make_journal j.db
RUN knell history --journal j.db -o json | head -n 1 | wc -l; echo ${PIPESTATUS[0]}
EXPECT \A1\n0\n\Z

NAME history verifies a journal
SETUP make_journal j.db
RUN knell history --journal j.db --verify
EXPECT \Aj\.db: 6 events, seq 1 to 6, of journal [0-9a-f-]{36}\n\Z
REFUSE_ERR .

NAME history finds damage
NEEDS tool:sqlite3
SETUP make_journal j.db
SETUP sqlite3 j.db 'UPDATE block SET first_ns = first_ns + 1'
RUN knell history --journal j.db --verify; echo $?; knell history --journal j.db -o json
EXPECT ^the block at seq \d+ is damaged$
EXPECT ^1$
EXPECT "type":"lost"
EXPECT_ERR \Aknell: j\.db: is damaged\n

NAME history without a journal
RUN knell history --journal j.db
STATUS 3
EXPECT_ERR \Aknell: j\.db: there is no journal; [^\n]*knelld\.toml\(5\)\n\Z
REFUSE .

NAME history of a journal that may not be read
NEEDS root
SETUP make_journal j.db; chmod 755 . ..; chmod 600 j.db*
RUN setpriv --reuid 65534 --clear-groups knell history --journal j.db
STATUS 3
EXPECT_ERR \Aknell: j\.db: permission denied; root and members of the group [^\n]*\n\Z

NAME history of an empty file
SETUP : >j.db
RUN knell history --journal j.db
EXPECT_ERR \Aknell history: j\.db: is empty: no events were written yet\n\Z
REFUSE .

NAME history of a file that is not a journal
SETUP seq 10000 >j.db
RUN knell history --journal j.db
STATUS 1
EXPECT_ERR \Aknell: j\.db: this is not a journal of knelld\n\Z

NAME history of a journal of a later version
NEEDS tool:sqlite3
SETUP make_journal j.db; sqlite3 j.db 'PRAGMA user_version=99'
RUN knell history --journal j.db
STATUS 1
EXPECT_ERR \Aknell: j\.db: was written by a later version of knell\n\Z

NAME history refuses wrong times
RUN knell history -S soon; knell history -S 1h -U 2h; knell history -f -U now; knell history -n 0
STATUS 2
EXPECT_ERR \Aknell: -S: 'soon' is not a time: [^\n]*\nknell: -U 2h is before -S 1h\nknell: -f cannot be used with -U\nknell: -n takes a number from 1 on, not '0'\n\Z
REFUSE .

# The time without knelld is reported as a lost event, whose fields are null here.
NAME history has the events that knelld stored: while it runs, after it was killed, and after a restart
NEEDS root tool:jq
SETUP printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config; cp "$(command -v sh)" sh_of_history
RUN export KNELL_SOCKET=$PWD/k.sock
  start() { rm -f log; knelld --config config 2>log & pid=$!; until_says log 'listens on'; }
  shown() { knell history --journal j.db -C sh_of_history -o json | jq -c '[.seq > 0, .exit_code, .args[2]]'; }
  until_shown() { until [[ $(shown 2>/dev/null) == *"$1"* ]]; do sleep 0.02; done; }
  start; ./sh_of_history -c 'exit 7'; ./sh_of_history -c 'exit 0'; until_shown 7
  knell status | grep -c '^journal .*j\.db: [1-9][0-9]* events since'
  unwritten() { knell history --journal j.db 2>&1 >/dev/null | grep -c 'to which no knelld writes'; }
  unwritten; kill -9 $pid; wait $pid; unwritten; shown
  rm k.sock; start; ./sh_of_history -c 'exit 8'; until_shown 8; kill $pid; wait $pid; shown
  knell history --journal j.db --verify | grep -c 'seq 1 to'
EXPECT \A1\n0\n1\n\[true,7,"exit 7"\]\n\[true,7,"exit 7"\]\n\[true,null,null\]\n\[true,8,"exit 8"\]\n1\n\Z

NAME a member of the group reads the journal whatever became of knelld and the index of the WAL
NEEDS root tool:jq tool:sqlite3 tool:setpriv
SETUP printf '[journal]\npath = "%s/d/j.db"\n' "$PWD" >config; cp "$(command -v sh)" sh_of_history
SETUP mkdir d; chgrp 54321 d; chmod 2750 d; chmod 755 . ..
RUN export KNELL_SOCKET=$PWD/k.sock
  start() { rm -f log k.sock; knelld --config config 2>log & pid=$!; until_says log 'listens on'; }
  member() { setpriv --reuid 65534 --regid 54321 --clear-groups knell history --journal d/j.db -C sh_of_history -o json; }
  codes() { member | jq -c .exit_code | paste -sd' '; }
  until_stored() { until [[ $(codes 2>/dev/null) == *$1 ]]; do sleep 0.02; done; }
  start; ./sh_of_history -c 'exit 7'; until_stored 7; echo "alive $(codes)"
  kill -9 $pid; wait $pid; echo "killed $(codes)"
  start; ./sh_of_history -c 'exit 8'; until_stored 8; kill $pid; wait $pid; echo "stopped $(codes)"
  truncate -s 0 d/j.db-shm; echo "empty $(codes)"; truncate -s 32768 d/j.db-shm; echo "zeros $(codes)"
  rm d/j.db-shm; member; echo "gone $?"; knell history --journal d/j.db -C sh_of_history -o json | jq -c .exit_code; echo "back $(codes)"
  sqlite3 d/j.db 'PRAGMA user_version=99'; knell history --journal d/j.db; echo "later $?"
  start; ./sh_of_history -c 'exit 9'; until_stored 9; echo "new $(codes)"; kill $pid; ls d/*.newer-*Z
EXPECT \Aalive 7\nkilled 7\nstopped 7 null 8\nempty 7 null 8\nzeros 7 null 8\ngone 3\n7\nnull\n8\nback 7 null 8\nlater 1\nnew null 9\nd/j\.db\.newer-\S+\n\Z
EXPECT_ERR ^knell: d/j\.db-shm: is missing and cannot be created by this user; [^\n]*\nknell: d/j\.db: was written by a later version of knell\n\Z

# The journal is in a folder that only root may enter. `past` is a program that fails with status 94.
NAME a user who may not read the journal gets its own events from knelld
NEEDS root tool:jq tool:setpriv
SETUP printf '#!/bin/sh\nexit 94\n' >past && chmod +x past && chmod 755 . .. && mkdir -m 700 d
SETUP printf '[journal]\npath = "%s/d/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!; until_says log 'listens on'
  nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
  count() { knell history --journal d/j.db -C past -o json | grep -c .; }
  ./past; $nobody ./past; $nobody ./past; until (($(count 2>/dev/null) == 3)); do sleep 0.02; done
  $nobody knell history -C past -o json | jq -c '[.seq > 0, .uid, .exit_code, (.cursor | startswith("k1:"))]'
  $nobody knell history -C past -n 1 | grep -c 'exit 94'
  $nobody knell history -C past -S 1h -e nonzero-exit --by comm -o json | jq -c 'select(.final).count'
  $nobody knell history -C '!past' -S 1h -o json 2>&1 | grep -c '"comm":"past"'
  $nobody knell history -f -C past -o json >follows & pid=$!; until (($(grep -c . follows) == 2)); do sleep 0.02; done
  $nobody ./past; until (($(grep -c . follows) == 3)); do sleep 0.02; done; kill -INT $pid; wait $pid; echo $?
  kill -9 $daemon; wait $daemon 2>/dev/null; $nobody knell history; echo $?
EXPECT \A\[true,65534,94,true\]\n\[true,65534,94,true\]\n1\n2\n0\n0\n3\n\Z
EXPECT_ERR of all events of user |from the journal of knelld
EXPECT_ERR ^knell: /var/lib/knell/journal\.db: [^\n]*; and reading through knelld fails: knelld is not running: [^\n]*k\.sock$

NAME history through knelld reports why there is no history
NEEDS root
SETUP chmod 755 . .. && printf '[journal]\nenabled = false\n' >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & daemon=$!; until_says log 'listens on'
  setpriv --reuid 65534 --regid 65534 --clear-groups knell history; echo $?; kill $daemon; wait
EXPECT \A3\n\Z
EXPECT_ERR ; and reading through knelld fails: there is no journal: it is disabled in knelld\.toml \(\[journal\] enabled = false\)

# The disk has 1 MB, in a mount namespace that ends with knelld.
NAME knelld keeps events while the disk is full, and stores them when there is room
NEEDS root tool:jq tool:nsenter
SETUP printf '[journal]\npath = "%s/d/j.db"\n' "$PWD" >config; cp "$(command -v sh)" sh_of_full_disk; mkdir d
RUN export KNELL_SOCKET=$PWD/k.sock
  unshare --mount sh -c 'mount -t tmpfs -o size=1M none d && exec knelld --config config' 2>log & pid=$!
  until_says log 'listens on'
  inside() { nsenter --mount --target $pid "$@"; }
  stored() { inside "$(command -v knell)" history --journal "$PWD/d/j.db" -C sh_of_full_disk -o json; }
  until_stored() { until [[ $(stored 2>/dev/null) == *"$1"* ]]; do sleep 0.02; done; }
  until_works() { until [[ $(knell status -o prometheus) == *"journal_working $1"* ]]; do ./sh_of_full_disk -c "exit $2"; done; }
  ./sh_of_full_disk -c 'exit 7'; until_stored '"exit_code":7'
  inside dd if=/dev/zero of="$PWD/d/fill" status=none; until_works 0 8; ./sh_of_full_disk -c 'exit 8'
  knell status | grep -o 'failing: [^;]*full'
  inside rm "$PWD/d/fill"; until_works 1 8; ./sh_of_full_disk -c 'exit 9'; until_stored '"exit_code":9'
  stored | jq -c 'if .type == "lost" then "lost" else .exit_code end' | uniq; kill $pid
EXPECT \Afailing: .*database or disk is full\n7\n8\n9\n\Z

NAME knelld continues and logs an error if its journal cannot be written
NEEDS root
SETUP printf '[journal]\npath = "%s/none/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & pid=$!; until_says log 'until this is repaired'
  knell status; knell status -o prometheus; kill $pid
EXPECT ^journal .*none/j\.db: failing: .*No such file or directory; 0 events
EXPECT ^knell_journal_working 0$

NAME a knelld with --socket does not use the default journal
NEEDS root
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log & pid=$!; until_says log 'listens on'; knell status -o json; kill $pid
EXPECT "journal":null
