# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME the version
RUN knell --version
EXPECT \Aknell \d+\.\d+\.\d+\n\Z
REFUSE_ERR .

NAME help names the commands
RUN knell --help
EXPECT knell watch
EXPECT knell doctor
EXPECT ^  export .*\(knell-export\)$
EXPECT ^  fleet .*\(knell-fleet\)$
REFUSE_ERR .

NAME each command has help with examples and exit statuses
RUN for c in watch history run wait kill tree timeline doctor; do knell $c --help | grep -c -E '^(Examples|Exit status):?' ; done
EXPECT \A2\n2\n2\n2\n2\n2\n2\n2\n\Z

NAME help of a command by name is the help of that command
RUN for c in watch history run record wait kill tree timeline status doctor; do
  cmp <(knell help $c) <(knell $c --help) && cmp <(knell help) <(knell --help) || echo $c; done
REFUSE .
REFUSE_ERR .

NAME help is shown even beside other options
RUN knell watch -n 0 --help
EXPECT --exit-code
REFUSE_ERR .

NAME help to a full disk fails
RUN knell --help >/dev/full
STATUS 1
EXPECT_ERR \Aknell: cannot write standard output: No space left on device\n\Z

NAME help to a closed standard output fails
RUN knell --version >&-
STATUS 1
EXPECT_ERR cannot write standard output
