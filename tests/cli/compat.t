# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME without a daemon: an error, and the command is not run
RUN KNELL_SOCKET=$PWD/none knell compat -- touch ran; s=$?; ls; exit $s
STATUS 3
EXPECT_ERR \Aknell: knelld: \S+/none: the socket does not exist; (on the host: )?systemctl enable --now knelld\.socket[^\n]*, or use --direct\n\Z
REFUSE .

NAME with a socket without a server
NEEDS tool:python3
SETUP python3 -c 'import socket; socket.socket(1, 5).bind("dead")'
RUN KNELL_SOCKET=dead knell compat -- true
STATUS 3
EXPECT_ERR ^knell: knelld: dead: no process listens on the socket; (on the host: )?systemctl enable --now knelld\.socket

NAME with an empty KNELL_SOCKET
RUN KNELL_SOCKET= knell compat -- true
STATUS 3
EXPECT_ERR disables the daemon; unset it, or use --direct$

NAME a static program
NEEDS tool:ldconfig
RUN knell compat --direct -- ldconfig --version
STATUS 3
EXPECT_ERR \Aknell: \S+/ldconfig: statically linked, so libknell-compat cannot be loaded into it; link it dynamically\n\Z
REFUSE .

NAME a static program behind a script
NEEDS tool:ldconfig
SETUP printf '#!%s --version\n' $(command -v ldconfig) >script; chmod +x script
RUN knell compat --direct -- ./script
STATUS 3
EXPECT_ERR ldconfig: statically linked

NAME a program that gains rights
NEEDS root
NEEDS tool:setpriv
SETUP cp $(type -P true) mine && chmod 4755 mine && chmod 755 . ..
RUN knell compat --direct -- ./mine && setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v knell)" compat --direct -- ./mine
STATUS 3
EXPECT_ERR \Aknell: \./mine: set-user-ID, so libknell-compat is not loaded into it; run it as its owner\n\Z

NAME the command has its own status, arguments and environment
RUN LD_PRELOAD= knell compat --direct --rule v6 -- sh -c 'echo "$@"; echo $LD_PRELOAD $KNELL_COMPAT_DIRECT $KNELL_COMPAT_RULE; exit 9' sh --direct -x
STATUS 9
EXPECT \A--direct -x\n/\S+/libknell-compat\.so 1 v6\n\Z
REFUSE_ERR .

NAME a library that is preloaded already is kept
RUN LD_PRELOAD=libdl.so.2 knell compat --direct -- sh -c 'echo $LD_PRELOAD'
EXPECT \A/\S+/libknell-compat\.so:libdl\.so\.2\n\Z

NAME signal handling is unchanged
RUN sh -c 'grep SigIgn /proc/self/status; knell compat --direct -- grep SigIgn /proc/self/status'
EXPECT \A(SigIgn:\s+\S+\n)\1\Z

NAME as root by name
NEEDS root
NEEDS tool:setpriv
RUN setpriv --reuid 65534 --regid 65534 --clear-groups knell compat --direct --as-root -- id -ur
EXPECT \A0\n\Z

NAME a file that is not a program
RUN knell compat --direct -- /etc/passwd
STATUS 126
EXPECT_ERR \Aknell: /etc/passwd: not an executable file\n\Z

NAME a command that does not exist
RUN knell compat --direct -- nosuchcommand
STATUS 127
EXPECT_ERR \Aknell: nosuchcommand: not found in PATH\n\Z

NAME an unknown rule
RUN knell compat --rule v7 -- true
STATUS 2
EXPECT_ERR \Aknell: --rule must be released or v6, not 'v7'\n\Z

NAME without a command
RUN knell compat --direct
STATUS 2
EXPECT_ERR \Aknell: missing command;

NAME help has examples and exit statuses
RUN knell compat --help | grep -c -E '^(Examples|Exit status):?'; cmp <(knell help compat) <(knell compat --help)
EXPECT \A2\n\Z
REFUSE_ERR .

NAME the nearest option is proposed
RUN knell compat --diretc -- true
STATUS 2
EXPECT_ERR \A[^\n]*--direct\?\n\Z
REFUSE .
