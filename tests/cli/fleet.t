# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# `knell fleet`: options that are refused before a connection is made, and the error without a server.
# fleet/tests has the tests with a server.

NAME help is that of the program
RUN cmp <(knell fleet --help) <(knell-fleet --help) && cmp <(knell help fleet) <(knell-fleet --help) &&
  for c in init forward watch history hosts; do knell fleet $c --help | grep -c -E '^(Examples|Exit status):?'; done
EXPECT \A2\n2\n2\n2\n2\n\Z
REFUSE_ERR .

NAME a missing or unknown command
RUN knell fleet; knell fleet histroy
STATUS 2
EXPECT_ERR \Aknell-fleet: missing command[^\n]*\nknell-fleet: unknown command 'histroy'[^\n]*\n\Z
REFUSE .

NAME an unknown option
RUN knell fleet history --snice 1h; knell fleet history now
STATUS 2
EXPECT_ERR \Aknell-fleet: unknown option --snice; did you mean --since\?\nknell-fleet: 'now' is not an option; knell fleet history --help lists the options\n\Z
REFUSE .

NAME events, predicates and formats that do not exist
RUN for c in watch history; do knell fleet $c -e exti; knell fleet $c --ended later; knell fleet $c -o xml; done
STATUS 2
EXPECT_ERR \A(knell-fleet: -e: [^\n]*exit[^\n]*\nknell-fleet: ended: [^\n]*\nknell-fleet: -o takes table or json, not 'xml'\n){2}\Z
REFUSE .

NAME history: times, counts and time-outs out of range
RUN knell fleet history -S sometime; knell fleet history -S 1h -U 2h; knell fleet history -n 0; knell fleet history --timeout 0
STATUS 2
EXPECT_ERR \Aknell-fleet: -S: [^\n]*sometime[^\n]*\nknell-fleet: -U 2h is before -S 1h\nknell-fleet: -n takes [^\n]*\nknell-fleet: --timeout takes [^\n]*\n\Z
REFUSE .

NAME without a server: an error
RUN for c in init watch history hosts; do knell fleet $c --server nats://127.0.0.1:1; done
STATUS 1
EXPECT_ERR \A(knell-fleet: cannot connect to nats://127.0.0.1:1: [^\n]*\n){4}\Z
REFUSE .
