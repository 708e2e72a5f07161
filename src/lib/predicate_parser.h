// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The grammar of predicates, for command line options and the library:
//
//   key       values                                         example
//   pid       a process                                      1234
//   under     a process and its descendants                  1234
//   comm      glob of the name                               php-fpm*, !grep
//   exe       glob of the path                               /usr/bin/*
//   uid user  a number or a name; for `user` digits are a    0, www-data
//             name if there is such a user
//   unit      glob; `.service` may be omitted                postgresql@*
//   cgroup    a path, and all below it                       /system.slice
//   container an id, or its beginning                        3f2a9c
//   tty       glob, with or without `/dev/`                  pts/3, ttyS*
//   ended     exit codes, ranges, signals, signal, core,     2-255, SIGKILL, core
//             oom, unknown; `exit-code` and `signal` are the
//             same key, except that a number given to
//             `signal` is a signal
//   longer    lifetime of at least that long                 10s
//   shorter   lifetime of less than that                     100ms
//
// Values separated by commas and values of repeated keys are alternatives; `!value` excludes. A
// value cannot contain a comma: write `?` for it in a glob, and `\!` for a leading `!`.
// filter/predicates.h says how several values are combined.
//
// The parser queries the user database, which may be slow, so it runs in the program of the user:
// knelld cannot call it (tools/check-layers).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/predicate.h"

namespace knell::lib {

// Errors: EINVAL, with a message that says what would be valid.
Result<std::vector<filter::Predicate>> parse_predicate(std::string_view key,
                                                       std::string_view values);

}  // namespace knell::lib
