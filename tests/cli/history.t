# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# make_journal has an exit 72, 5, 4, 3, 2 and 1 hours ago.

NAME history shows all events of a journal as a table with the days
SETUP make_journal j.db
RUN knell history --journal j.db
EXPECT_ERR \Aall events of all processes, from j\.db\n
EXPECT ^TIME +PID
EXPECT (?s)^\d{4}-\d\d-\d\d\n[\d:.]+ +11 .*^\d{4}-\d\d-\d\d\n[\d:.]+ +12 .* 16 
EXPECT SIGKILL +sleep
EXPECT_ERR ^ 6 shown, 0 lost; most: exit 1 cron 3,

NAME history shows a window of time
SETUP make_journal j.db
RUN knell history --journal j.db -S 4h30m -U '90m ago' -o json | jq -c .pid
NEEDS tool:jq
EXPECT \A13\n14\n15\n\Z

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
SETUP make_journal j.db; chmod 755 .; chmod 600 j.db*
RUN setpriv --reuid 65534 --clear-groups knell history --journal j.db
STATUS 3
EXPECT_ERR \Aknell: j\.db: permission denied; [^\n]*\n\Z

NAME history of an empty file
SETUP : >j.db
RUN knell history --journal j.db
EXPECT_ERR \Aknell history: j\.db: is empty: no events were written yet\n\Z
REFUSE .

NAME history of a file that is no journal
SETUP seq 10000 >j.db
RUN knell history --journal j.db
STATUS 1
EXPECT_ERR \Aknell: j\.db: file is not a database\n\Z

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

NAME history has what knelld stored, while it runs, after it was killed, and after a restart
NEEDS root tool:jq
SETUP printf '[journal]\npath = "%s/j.db"\n' "$PWD" >config; cp "$(command -v sh)" sh_of_history
RUN export KNELL_SOCKET=$PWD/k.sock
  start() { rm -f log; knelld --config config 2>log & pid=$!; until_says log 'listens on'; }
  shown() { knell history --journal j.db -C sh_of_history -o json | jq -c '[.seq > 0, .exit_code, .args[2]]'; }
  until_shown() { until [[ $(shown 2>/dev/null) == *"$1"* ]]; do sleep 0.02; done; }
  start; ./sh_of_history -c 'exit 7'; ./sh_of_history -c 'exit 0'; until_shown 7
  knell status | grep -c '^journal .*j\.db: [1-9][0-9]* events since'
  kill -9 $pid; wait $pid; shown
  rm k.sock; start; ./sh_of_history -c 'exit 8'; until_shown 8; kill $pid; wait $pid; shown
  knell history --journal j.db --verify | grep -c 'seq 1 to'
EXPECT \A1\n\[true,7,"exit 7"\]\n\[true,7,"exit 7"\]\n\[true,8,"exit 8"\]\n1\n\Z

NAME knelld goes on when its journal cannot be written, and says so
NEEDS root
SETUP printf '[journal]\npath = "%s/none/j.db"\n' "$PWD" >config
RUN export KNELL_SOCKET=$PWD/k.sock; knelld --config config 2>log & pid=$!; until_says log 'events are lost until'
  knell status; knell status -o prometheus; kill $pid
EXPECT ^journal .*none/j\.db: failing: .*No such file or directory; 0 events
EXPECT ^knell_journal_working 0$

NAME a knelld with a socket of its own leaves the default journal alone
NEEDS root
RUN export KNELL_SOCKET=$PWD/k.sock; knelld 2>log & pid=$!; until_says log 'listens on'; knell status -o json; kill $pid
EXPECT "journal":null
