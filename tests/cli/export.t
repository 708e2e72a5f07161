# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# `knell export`: options that are refused before anything is opened, and the error if knelld
# does not run. tests/export has the tests of the exports.

NAME help is that of the program
RUN cmp <(knell export --help) <(knell-export --help) && cmp <(knell help export) <(knell-export --help) &&
  for c in prometheus journald otlp; do knell export $c --help | grep -c -E '^(Examples|Exit status):?'; done
EXPECT \A2\n2\n2\n\Z
REFUSE_ERR .

NAME a missing or unknown command
RUN knell export; knell export journal; knell export kafka
STATUS 2
EXPECT_ERR \Aknell-export: missing command: prometheus, journald, otlp; [^\n]*\nknell-export: unknown command 'journal'; did you mean journald\?\nknell-export: unknown command 'kafka'; the commands are prometheus, journald, otlp\n\Z
REFUSE .

NAME an unknown option
RUN knell export prometheus --listne 127.0.0.1:1; knell export otlp now
STATUS 2
EXPECT_ERR \Aknell-export: unknown option --listne; did you mean --listen\?\nknell-export: unexpected argument 'now'; knell export otlp --help lists the options\n\Z

NAME an invalid address
RUN for a in 9437 localhost:9437 127.0.0.1:x '127.0.0.1:1,0.0.0.0:2'; do knell export prometheus -l "$a"; done
STATUS 2
EXPECT_ERR \A(knell-export: --listen takes ADDRESS:PORT, such as 127.0.0.1:9437 or \[::1\]:9437, not '[^\n]*'\n){4}\Z

NAME numbers out of range
RUN knell export prometheus -k 1001; knell export journald --rate -1
STATUS 2
EXPECT_ERR \Aknell-export: --top-k takes a number from 0 to 1000, not '1001'\nknell-export: --rate takes a number from 0 on, not '-1'\n\Z

NAME events, details and predicates that do not exist
RUN knell export journald -e exti; knell export journald --details all; knell export journald -m unit; knell export journald -m untt=a
STATUS 2
EXPECT_ERR \Aknell-export: --events: [^\n]*exit[^\n]*\nknell-export: --details takes status, names or full, not 'all'\nknell-export: --match takes KEY=VALUE, such as unit=postgresql, not 'unit'\nknell-export: --match: [^\n]*unit[^\n]*\n\Z

NAME an invalid endpoint
RUN knell export otlp; knell export otlp --endpoint file:///etc/passwd; OTEL_EXPORTER_OTLP_HEADERS=secret knell export otlp --endpoint http://127.0.0.1:1
STATUS 2
EXPECT_ERR \Aknell-export: --endpoint is missing[^\n]*\nknell-export: --endpoint takes a URL such as http://127.0.0.1:4318, not 'file:///etc/passwd'\nknell-export: OTEL_EXPORTER_OTLP_HEADERS must be NAME=VALUE[^\n]*\n\Z
REFUSE_ERR secret

NAME without knelld: an error
RUN export KNELL_SOCKET=/nowhere/knell.sock; knell export prometheus -l 127.0.0.1:0; knell export otlp --endpoint http://127.0.0.1:1
STATUS 3
EXPECT_ERR \A(knell-export: [^\n]*/nowhere/knell.sock; (on the host: )?systemctl enable --now knelld\.socket[^\n]*\n){2}\Z
REFUSE .
