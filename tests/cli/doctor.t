# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0

NAME tells each thing with a level, and what watch will do
NEEDS connector
RUN knell doctor
EXPECT \Aknell \d+\.\d+\.\d+, Linux \S+ \S+, uid \d+, 
EXPECT ^ok    connector 
EXPECT ^(ok|warn|no)  +pidfd 
EXPECT ^watch will use the connector
REFUSE ^note

NAME as JSON, an object a line
NEEDS tool:python3
NEEDS connector
RUN knell doctor -o json | python3 -c 'import json, sys; print([json.loads(l)["subject"] for l in sys.stdin])'
EXPECT ^\['knell', .*'connector'.*, 'watch'\]$

NAME where the connector is out of reach it says why, and what works still
NEEDS root
NEEDS tool:unshare
RUN unshare -n knell doctor
EXPECT ^no    connector .*network namespace
EXPECT ^ok    pidfd
EXPECT ^watch and run have no source here; wait works$
