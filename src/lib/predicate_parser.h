// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The grammar of predicates, for flags and the library alike:
//
//   key       values                                         example
//   pid       a process                                      1234
//   under     that process and its descendants               1234
//   comm      glob over the name                             php-fpm*, !grep
//   exe       glob over the path                             /usr/bin/*
//   uid user  a number or a name; `user` takes a name that   0, www-data
//             consists of digits for a name
//   unit      glob; `.service` may be left out               postgresql@*
//   cgroup    a path, and all below it                       /system.slice
//   container an id, or how it begins                        3f2a9c
//   tty       glob; `/dev/` may stand before it              pts/3, ttyS*
//   ended     exit codes, ranges, signals, signal, core,     2-255, SIGKILL, core
//             oom, unknown; `exit-code` and `signal` are the
//             same key, except that a number given to
//             `signal` is a signal
//   longer    lived that long or longer                      10s
//   shorter   lived less than that                           100ms
//
// Commas and repeats are alternatives; `!value` excludes. A value holds no comma: write `?` for it
// in a glob, or `\!` for a first `!`. filter/predicates.h says what the values mean together.
//
// The parser asks the user database, which may take its time, so it belongs to the program that
// typed the text: knelld has no way to it (tools/check-layers).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/predicate.h"

namespace knell::lib {

// Errors: EINVAL, a whole sentence with what would be right.
Result<std::vector<filter::Predicate>> parse_predicate(std::string_view key,
                                                       std::string_view values);

}  // namespace knell::lib
